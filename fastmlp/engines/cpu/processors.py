"""The number of processors that this process may use at present.

numba counts them once, when it is imported, and does not know the quotas of containers and
services: a container that may use two processors of a machine with 64 would get 64 threads, which
wait for each other.
"""

import os
from functools import cache
from math import ceil, inf
from pathlib import Path

_ROOT = Path("/")


def available_processors(root: Path = _ROOT) -> int:
    """Count the processors that the system lets this process run on, or pay for.

    Parameters
    ----------
    root : Path
        The folder in which Linux shows its control groups, below ``proc`` and ``sys``.

    Returns
    -------
    int
        At least 1. A quota of one and a half processors counts as two.
    """
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    limit = quota(root)
    return processors if limit == inf else max(1, min(processors, ceil(limit)))


@cache
def quota(root: Path = _ROOT) -> float:
    """Return the share of time that control groups allow this process, in processors.

    Returns
    -------
    float
        Infinite where there is no limit. The answer is kept for the life of the process.
    """
    groups = root / "sys" / "fs" / "cgroup"
    folders = [groups, groups / "cpu", groups / "cpu,cpuacct"]
    # A container sees its own group as the root. A service sees a path, whose parents count, too.
    for line in _words(root / "proc" / "self" / "cgroup", "\n"):
        _, controllers, path = line.split(":", 2)
        if ".." in path or (controllers and "cpu" not in controllers.split(",")):
            continue
        own = groups / controllers / path.lstrip("/")
        folders += [own, *(parent for parent in own.parents if groups in parent.parents)]
    return min(map(_quota_of, folders))


def _quota_of(folder: Path) -> float:
    """Read the quota of one control group, of version 2 or 1."""
    words = _words(folder / "cpu.max") or [
        *_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")
    ]  # fmt: skip
    try:
        time, period = map(int, words)
    except ValueError:  # there is no such file, or it says that there is no limit
        return inf
    return time / period if time > 0 and period > 0 else inf


def _words(file: Path, separator: str | None = None) -> list[str]:
    """Read the words, or other parts, of a small file; none where it cannot be read."""
    try:
        return [word for word in file.read_text().split(separator) if word]
    except (OSError, ValueError):
        return []
