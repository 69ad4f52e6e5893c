"""A table whose names and values try to be markup, formulas or control characters."""

import warnings

import numpy as np
import pandas as pd
import pytest

from fastmlp import train_table
from fastmlp.reports.writing import report_on_table

HOSTILE = (
    "<script>document.title='hit'</script>",
    '"><img src=x onerror="document.title=1">',
    "</style><b>bold</b>",
    "$x^2$ \\frac{1}{2}",
    "{{ 7 * 7 }} {% raw %}",
    "\u202egnp.exe \x1b[31m red\x07",
    "long " * 80,
    "]]><!-- &amp; &lt; --> العربية 日本語 \U0001f600",
)


@pytest.fixture(scope="session")
def hostile():
    """A frame of 160 rows with hostile names, levels and classes."""
    random = np.random.default_rng(0)
    n_rows = 160
    frame = pd.DataFrame({
        name: random.normal(size=n_rows) if i % 2 else random.choice(HOSTILE, n_rows)
        for i, name in enumerate(HOSTILE)
    })  # fmt: skip
    is_high = frame[HOSTILE[1]] + random.normal(size=n_rows) / 3 > 0
    frame["</title><script>alert(1)</script>"] = np.where(is_high, HOSTILE[0], HOSTILE[2])
    return frame


@pytest.fixture(scope="session")
def hostile_page(hostile, tmp_path_factory):
    """The file of a report on a model of the hostile table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on the columns, which look odd indeed
        model = train_table(hostile, hidden_layer_sizes=(8,), max_iter=10)
    path = tmp_path_factory.mktemp("page") / "hostile.html"
    report_on_table(model, hostile, path)
    return path
