"""Starts one command and prints what it used, as JSON, on its last line. Run as `python -I -S launch.py COMMAND ...`.

CPU seconds are those of the command and all that it started, orphans too: they become children of this process.
The peak is that of the largest single process among them. A process inherits the peak memory of the one that
forked it; this one is small, so that the figure is the command's.
"""

import ctypes
import json
import os
import resource
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
started = time.perf_counter()
child = os.fork()
if not child:
    os.execvp(sys.argv[1], sys.argv[1:])
_, status = os.waitpid(child, 0)
wall = time.perf_counter() - started
try:
    while True:
        os.wait()
except ChildProcessError:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
figures = [wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6, os.waitstatus_to_exitcode(status)]
print(json.dumps(figures), flush=True)
