"""The Python API, and what every face stands on: jobs, progress, background syncs, run files."""
