"""The default number of threads is that of the processors that may be used."""

import os
import subprocess
import sys

import pytest

from fastmlp.engines.cpu.processors import available_processors, quota

inf = float("inf")


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


CGROUP = "sys/fs/cgroup"
QUOTAS = [
    ({}, inf),
    ({f"{CGROUP}/cpu.max": "max 100000\n"}, inf),
    ({f"{CGROUP}/cpu.max": "150000 100000\n"}, 1.5),
    ({f"{CGROUP}/cpu.max": "nonsense"}, inf),
    # A service: its own group, and one above it.
    (
        {
            "proc/self/cgroup": "0::/a.slice/b.service\n",
            f"{CGROUP}/a.slice/cpu.max": "300000 100000",
            f"{CGROUP}/a.slice/b.service/cpu.max": "max 100000",
        },
        3,
    ),
    # Version 1, in a container and outside.
    (
        {
            f"{CGROUP}/cpu/cpu.cfs_quota_us": "50000\n",
            f"{CGROUP}/cpu/cpu.cfs_period_us": "100000\n",
        },
        0.5,
    ),
    (
        {
            f"{CGROUP}/cpu/cpu.cfs_quota_us": "-1\n",
            f"{CGROUP}/cpu/cpu.cfs_period_us": "100000\n",
        },
        inf,
    ),
    (
        {
            "proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/jobs/7\n",
            f"{CGROUP}/cpu,cpuacct/jobs/7/cpu.cfs_quota_us": "400000\n",
            f"{CGROUP}/cpu,cpuacct/jobs/7/cpu.cfs_period_us": "100000\n",
        },
        4,
    ),
    ({"proc/self/cgroup": "0::/../../other\n"}, inf),
]


@pytest.mark.parametrize(("files", "expected"), QUOTAS)
def test_quotas_of_control_groups(files, expected, tmp_path):
    write(tmp_path, files)
    assert quota(tmp_path) == expected


def test_a_part_of_a_processor_counts_as_one(tmp_path):
    write(tmp_path, {f"{CGROUP}/cpu.max": "10000 100000"})
    assert available_processors(tmp_path) == 1


def test_processors_beyond_the_quota_do_not_count(tmp_path):
    write(tmp_path, {f"{CGROUP}/cpu.max": "100000000 100000"})
    assert available_processors(tmp_path) == available_processors(tmp_path / "none")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
@pytest.mark.parametrize(("setting", "expected"), [(None, 1), ("2", 2)])
def test_a_later_affinity_counts_unless_a_number_is_set(setting, expected):
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_NUM_THREADS"}
    if setting is not None:
        environment["NUMBA_NUM_THREADS"] = setting
    code = """
import os
from fastmlp.engines.devices import cpu_threads
cpu_threads(None)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(cpu_threads(None), cpu_threads(-1))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert result.stdout.split() == [str(expected)] * 2, result.stderr
