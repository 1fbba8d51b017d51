"""Nodes that each have a copy of their own."""
