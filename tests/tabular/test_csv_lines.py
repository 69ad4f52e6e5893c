"""CSV that pyarrow writes is that of Python and pandas, byte for byte."""

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp.tabular import csv_lines
from fastmlp.tabular.writing import csv_text

pytest.importorskip("pyarrow")

FLOATS = st.floats(allow_nan=False)
TEXTS = st.text(alphabet="ab,\"'\r\n é\u20ac;", max_size=4)


def as_before(frame):
    """The lines that Python and pandas write."""
    return frame.to_csv(index=False, header=False, lineterminator="\n")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(FLOATS, st.floats(width=32, allow_nan=False), TEXTS), min_size=1))
def test_any_cells(rows):
    wide, narrow, text = zip(*rows, strict=True)
    frame = pd.DataFrame({"a": wide, "b": np.array(narrow, np.float32), "c": text})
    frame["d"] = pd.Series(text, dtype=object)
    frame["e"] = frame["a"] > 0
    frame["f"] = np.arange(len(frame)) - 2
    for names in (["a"], ["b"], ["c"], ["d"], ["e", "f"], list("abcdef")):
        found = csv_lines.lines_of(frame[names])
        assert found == as_before(frame[names])


def test_every_size_of_floats():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=4000) * 10.0 ** rng.integers(-30, 30, 4000)
    for dtype in (np.float64, np.float32):
        values = np.concatenate([numbers, np.round(numbers, 2), [0.0, -0.0, 1e15, 1e16, 123456789]])
        limits = np.array([1e-4, -1e-4, 1e6, 1e16], dtype)
        beside = [np.nextafter(limits, dtype(0)), limits, np.nextafter(limits, dtype(np.inf))]
        frame = pd.DataFrame({"p": np.concatenate([values.astype(dtype), *beside])})
        assert csv_lines.lines_of(frame) == as_before(frame)
    # What Python writes of them says the same as pandas.
    assert as_before(pd.DataFrame({"p": numbers})) == "".join(f"{x!r}\n" for x in numbers.tolist())


def test_what_is_left_to_pandas(monkeypatch):
    for column in (
        [1.5, np.nan], ["a", None], [pd.Timestamp("2020-01-01")], ["a\ud800"], [1, "a"],
    ):  # fmt: skip
        frame = pd.DataFrame({"a": pd.Series(column, dtype=None if column[0] == 1.5 else object)})
        assert csv_lines.lines_of(frame) is None
    assert csv_lines.lines_of(pd.DataFrame({"a": []})) is None
    frame = pd.DataFrame({"a": [1.5, 2.0, 1e-7], "b": ["x", "y,z", ""]})
    text = csv_text(frame, header=True)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert csv_lines.lines_of(frame) is None and csv_text(frame, header=True) == text
