"""The faces, with a fake engine."""
