"""Dask, ipyparallel and executors behind one small protocol."""
