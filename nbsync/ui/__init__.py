"""Faces in the kernel and the terminal: one grammar, one report, no deciding."""
