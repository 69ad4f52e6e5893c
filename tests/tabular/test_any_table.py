"""Tables of any content either give finite predictions or an error that is documented."""

import datetime
import string
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastmlp import TabularClassifier, TabularRegressor
from fastmlp.tabular.train import evaluate, train_table

QUICK = {"hidden_layer_sizes": (3,), "max_iter": 1, "random_state": 0}
N_ROWS = st.integers(1, 30)

NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.floats(-10, 10),
    st.decimals(allow_nan=False) | st.just(Decimal("NaN")),
    st.fractions(max_denominator=9),
    st.booleans(),
)
TEXT = st.one_of(
    st.sampled_from(
        ["a", " a", "A", "b ", "", " ", "(missing)", "(other)", "nan", "1", "1,5", "$2"]
    ),
    st.text(string.printable + "é\N{NO-BREAK SPACE}\N{SNOWMAN}", max_size=4),
    st.decimals(-(10**6), 10**6, places=2).map("{:,}".format),
    st.dates().map(str),
)
MISSING = st.sampled_from([None, np.nan, pd.NA, pd.NaT])
ODD = st.one_of(
    st.binary(max_size=2), st.complex_numbers(max_magnitude=2), st.tuples(st.integers()),
    st.lists(st.integers(), max_size=2), st.just({"a": 1}), st.dates(), st.times(),
    st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)),
    st.timedeltas(), st.just(object()), st.just(np.zeros(2)), st.just(pd.Interval(0, 1)),
    st.just(pd.Period("2024-01")), st.just(pd.Series([1])),
)  # fmt: skip
# Mostly columns of one kind, since one odd cell is enough to have the table refused.
KINDS = st.sampled_from(
    [NUMBERS, TEXT, NUMBERS | MISSING, TEXT | MISSING, NUMBERS | TEXT | MISSING,
     st.floats(-9, 9), st.integers(0, 3), st.sampled_from(["u", "v", None]), MISSING,
     st.floats(-9, 9) | ODD, ODD]
)  # fmt: skip
DTYPES = st.sampled_from([object, object, "category", "infer"])
NAMES = st.one_of(st.text(max_size=2), st.integers(-1, 2), st.none(), st.just(("a", 1)))


@st.composite
def columns(draw, n_rows):
    cells = draw(st.lists(draw(KINDS), min_size=n_rows, max_size=n_rows))
    values = np.empty(n_rows, dtype=object)
    values[:] = cells
    column, dtype = pd.Series(values, dtype=object), draw(DTYPES)
    try:
        return column.infer_objects() if dtype == "infer" else column.astype(dtype)
    except (TypeError, ValueError, OverflowError):  # pandas has no such column
        return column


@st.composite
def tables(draw):
    n_rows = draw(N_ROWS)
    names = draw(st.lists(NAMES, min_size=2, max_size=4, unique_by=repr))
    frame = pd.concat([draw(columns(n_rows)) for _ in names], axis=1)
    return frame.set_axis(pd.Index(names, dtype=object, tupleize_cols=False), axis=1)


def check(model, frame):
    predicted = model.predict(frame)
    assert len(predicted) == len(frame)
    if hasattr(model, "predict_proba"):
        assert set(predicted.tolist()) <= set(model.classes_.tolist())
        assert np.isfinite(model.predict_proba(frame)).all()
    else:
        assert np.isfinite(predicted).all()
    assert np.isfinite(model.preprocessor_.transform(frame)).all()


@settings(
    max_examples=40, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(tables(), st.data())
def test_any_table(frame, data):
    X, y = frame.iloc[:, :-1], frame.iloc[:, -1]
    before = frame.copy(deep=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", RuntimeWarning)
        for cls in (TabularClassifier, TabularRegressor):
            try:
                model = cls(**QUICK).fit(X, y)
            except ValueError as error:  # DataError, or scikit-learn's own
                assert "\n" not in str(error) and len(str(error)) > 10
                continue
            check(model, X)
            other = data.draw(tables())
            renamed = other.iloc[:, [i % len(other.columns) for i in range(len(X.columns))]]
            renamed = renamed.set_axis(X.columns, axis=1)
            try:
                check(model, renamed)
            except ValueError as error:
                assert "\n" not in str(error) and len(str(error)) > 10
        try:
            model = train_table(frame, frame.columns[-1], test_size=0.4, **QUICK)
            check(model, frame)
            assert evaluate(model, frame)
        except ValueError as error:  # a class that only the test part has cannot be evaluated
            assert "\n" not in str(error) and len(str(error)) > 10
    assert repr(frame) == repr(before)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(st.decimals(-(10**7), 10**7, places=2), min_size=12, max_size=40, unique=True))
def test_numbers_mean_the_same_however_they_are_kept(values):
    numbers = [float(value) for value in values]
    y = np.arange(len(values)) * 1.5
    plain = pd.DataFrame({"a": numbers, "b": y % 4})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = TabularRegressor(**QUICK).fit(plain, y).predict(plain)
        for column in (
            values,
            pd.Categorical(numbers),
            [f"€{value:,}" for value in values],
            [f"{value:,}".translate(str.maketrans(",.", ".,")) + " kr" for value in values],
            [f"({-value:,})" if value < 0 else f"{value:,}" for value in values],
        ):
            frame = plain.assign(a=column)
            model = TabularRegressor(**QUICK).fit(frame, y)
            np.testing.assert_array_equal(model.predict(frame), expected)
            np.testing.assert_array_equal(model.predict(plain), expected)
