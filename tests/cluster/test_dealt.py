"""Groups of parts from which shards take their rows: how many there are, and that none is lost."""

import numpy as np
import pytest

from fastmlp.cluster import tasks
from fastmlp.cluster.dealt import groups_of


@pytest.mark.parametrize(
    ("n_parts", "n_shards"), [(1000, 256), (10_000, 16), (5000, 1024), (300, 1), (100_000, 4096)]
)
def test_shards_take_from_so_few_groups_that_a_scheduler_is_not_overrun(n_parts, n_shards):
    counts = np.random.default_rng(0).integers(0, 1000, n_parts)
    first_rows = np.cumsum(counts) - counts
    groups = groups_of(first_rows.tolist(), int(counts.sum()), n_shards)
    assert [number for group in groups for number in group] == list(range(n_parts))
    assert len(groups) * n_shards <= 2**15 and len(groups) <= 2 * n_shards
    # They have about as many rows.
    rows = [counts[group].sum() for group in groups]
    assert max(rows) <= counts.sum() / len(groups) * 2 + 1000


def test_few_parts_are_groups_of_their_own():
    assert groups_of([0, 10, 10, 20], 25, 2) == [[0], [1], [2], [3]]
    assert groups_of([0] * 9, 0, 2) == [list(range(9))]  # without rows
    assert groups_of([0, 5, 10, 15, 20, 20], 20, 2) == [[0], [1], [2], [3, 4, 5]]


def test_parts_that_are_merged_keep_the_order_of_their_rows():
    parts = [{"a": (np.array([1, 2]),)}, {}, {"b": (np.array([5]),), "a": (np.array([3]),)}]
    merged = tasks.merge(parts)
    assert {name: rows[0].tolist() for name, rows in merged.items()} == {"a": [1, 2, 3], "b": [5]}
    assert tasks.counts(merged) == {"a": 3, "b": 1}
