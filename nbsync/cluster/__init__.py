"""Past one machine: a run's work on the workers of Dask, ipyparallel or any concurrent.futures.Executor."""
