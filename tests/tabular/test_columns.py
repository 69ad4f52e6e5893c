"""Columns and targets: tasks, levels of text."""

import numpy as np
import pandas as pd
import pytest

from fastmlp.tabular.columns import decide_task
from fastmlp.tabular.levels import frequent_levels, level_codes, level_counts


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"] * 50, "classification"),
        ([True, False] * 50, "classification"),
        ([0, 1] * 50, "classification"),
        (list(range(10)) * 10, "classification"),
        (list(range(100)), "regression"),
        ([0.5, 1.5] * 50, "regression"),
        ([1.0, 2.0] * 50, "classification"),
        ([1, 2, 3, 4], "regression"),
    ],
)
def test_task_is_decided_by_the_target(values, task):
    decided, reason = decide_task(pd.Series(values))
    assert decided == task and reason


def test_levels_and_their_codes():
    column = pd.Series(["b", "a", "a", None, "b", "c", "b", None, "d"])
    counts = level_counts(column)
    assert frequent_levels(counts, fewest=2) == ["b", "(missing)", "a"]
    assert frequent_levels(counts, fewest=1, most=2) == ["b", "(missing)"]
    assert frequent_levels(counts, fewest=1, most=5) == ["b", "(missing)", "a", "c", "d"]
    codes = level_codes(pd.Series(["a", None, "new", "b"]), ["b", "(missing)", "a"])
    np.testing.assert_array_equal(codes, [2, 1, 3, 0])
    assert list(level_codes(pd.Series([None, None], dtype=object), ["b"])) == [1, 1]
