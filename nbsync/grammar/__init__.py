"""Words to calls and back: one grammar for shell and notebook. No IPython, no engine."""
