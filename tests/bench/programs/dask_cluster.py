"""A Dask scheduler and workers, processes of one thread each: `python -m tests.bench.programs.dask_cluster WORKERS`.

Its first line is the address. Each line that it reads it answers with the CPU seconds that its workers, all together,
and its scheduler have used since they began; it ends when its input does.
"""

from __future__ import annotations

import json
import logging
import sys
import time

import distributed


def main() -> None:
    count = int(sys.argv[1])
    with (
        distributed.LocalCluster(n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None,
                                 silence_logs=logging.CRITICAL) as cluster,
        distributed.Client(cluster) as client,
    ):  # fmt: skip
        client.wait_for_workers(count)
        print(json.dumps({"address": cluster.scheduler_address.removeprefix("tcp://")}), flush=True)
        for _ in sys.stdin:
            used = client.run(time.process_time)
            print(json.dumps({"workers": sum(used.values()), "scheduler": time.process_time()}), flush=True)


if __name__ == "__main__":
    main()
