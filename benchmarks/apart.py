"""Runs in a process of its own, which sleeps while others are measured.

Threads that BLAS, OpenMP and XLA have started spin for a while after their work, and would take
time from whatever else the same process measures.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path


def peak_megabytes():
    """The most memory of this process that was resident.

    What ``getrusage`` tells on Linux begins with the memory of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    import resource

    per_megabyte = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_megabyte


class Apart:
    """A process that makes a run and repeats it.

    Parameters
    ----------
    function : callable
        A function of a module. ``function(*arguments)`` is called there once, and returns the run,
        a function without arguments.
    *arguments : str or int
    """

    def __init__(self, function, *arguments):
        name = f"{function.__module__}:{function.__name__}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.apart", name, json.dumps(arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[1],
        )  # fmt: skip

    def run(self):
        """Let the process run once, and return the result of the run, as JSON has it."""
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process of {self._process.args[3]} has ended")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def _serve(name, arguments):
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    module, function = name.split(":")
    run = getattr(importlib.import_module(module), function)(*json.loads(arguments))
    for _ in sys.stdin:
        print(json.dumps(run()), file=answers, flush=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
