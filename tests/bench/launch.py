"""Starts one command and prints what it used, as JSON, on its last line. Run as `python -I -S launch.py COMMAND ...`.

A process inherits the peak memory of the one that forked it; this one is small, so that the figure is the command's.
"""

import json
import os
import sys
import time

started = time.perf_counter()
child = os.fork()
if not child:
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - started
figures = [wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6, os.waitstatus_to_exitcode(status)]
print(json.dumps(figures), flush=True)
