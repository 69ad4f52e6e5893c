"""Rows that are read value by value have the numbers, codes and remarks of those in a frame."""

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import DataWarning, TabularClassifier, TabularPreprocessor, TabularRegressor
from fastmlp.exceptions import DataError
from fastmlp.tabular import few_rows
from fastmlp.tabular.few_rows import read_few
from fastmlp.tabular.pack import members
from fastmlp.tabular.rows import read_rows, remarks_on_rows

N_ROWS = 240


def make_table():
    """Make a table with columns of every kind."""
    rng = np.random.default_rng(0)
    words = ["red house by the sea", "small flat near a park", "old farm with a barn", "villa"]
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, N_ROWS), unit="D")
    frame = pd.DataFrame({
        "size": np.where(rng.random(N_ROWS) < 0.1, np.nan, rng.normal(50, 9, N_ROWS)),
        "rooms": rng.integers(1, 400, N_ROWS),
        "sold": rng.random(N_ROWS) < 0.5,
        "price": [f"{v:,} EUR" for v in rng.integers(1000, 90_000, N_ROWS)],
        "city": rng.choice(["Rome", "Paris", "(missing)", "01"], N_ROWS),
        "zip": rng.choice(["10", "20", "30.0", "x"], N_ROWS),
        "day": days.strftime("%Y-%m-%d"),
        "clock": [f"{h}:{m:02}" for h, m in zip(*rng.integers(1, 12, (2, N_ROWS)), strict=True)],
        "text": [f"{words[i]} number {n} of {k}" for i, n, k in rng.integers(0, 4, (N_ROWS, 3))],
    })  # fmt: skip
    frame.loc[rng.random(N_ROWS) < 0.1, "city"] = None
    frame["text"] = [f"{text} {i}" for i, text in enumerate(frame["text"])]
    return frame, rng.random(N_ROWS) + frame["rooms"] / 100


@pytest.fixture(scope="module")
def table():
    return make_table()


@pytest.fixture(scope="module")
def fitted(table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        made = TabularPreprocessor(
            n_bins=6, bin_edges="both", target_means=2, number_means=True, linear=True
        )
        made.fit(*table)
    kinds = [column["kind"] for column in made.columns_]
    assert kinds == ["numeric"] * 4 + ["text"] * 2 + ["date"] * 2 + ["words"]
    return made


def assert_alike(read, fitted, frame):
    numbers, codes = read_rows(fitted, frame)
    assert read.numbers.tobytes() == numbers.tobytes() and read.numbers.shape == numbers.shape
    assert read.codes.dtype == codes.dtype and np.array_equal(read.codes, codes)
    assert read.remarks == remarks_on_rows(fitted, frame, numbers, codes)


@pytest.mark.parametrize("n_rows", [1, 3, 16])
def test_rows_of_the_table_are_read_quickly(fitted, table, n_rows):
    frame = table[0].iloc[5 : 5 + n_rows]
    for X in (frame, frame.to_dict("records")):
        read = read_few(fitted, X)
        assert read is not None
        assert_alike(read, fitted, frame)


missing = st.sampled_from([None, float("nan")])
numbers = st.one_of(
    missing, st.integers(-(2**70), 2**70), st.booleans(), st.floats(allow_nan=True),
    st.sampled_from(["", " ", "3", " 4.5 ", "1e3", "x", "inf", Decimal("1.5"), [1], 10**400]),
)  # fmt: skip
prices = st.one_of(
    missing, st.integers(0, 10**6), st.floats(0, 1000),
    st.sampled_from(["1,234 EUR", "2,5", "7 EUR", "(1,000 EUR)", "", "1 USD", "2.500"]),
)  # fmt: skip
levels = st.one_of(
    missing, st.integers(-5, 40), st.booleans(), st.floats(-50, 50),
    st.sampled_from([10, 30, 30.0, 10.0, "Rome", " Rome ", "rome", "ROMÉ", "", "(missing)", "1",
                     "01", "new", "(other)", pd.NA, Decimal(10)]),
)  # fmt: skip
days = st.one_of(
    missing,
    st.sampled_from(["2020-02-03", "2020-02-03T10:11", "2020-02-31", "3/4/2021", "10:30",
                     "12:00 pm", "soon", "", 5, pd.Timestamp("2021-01-02")]),
)  # fmt: skip
words = st.one_of(missing, st.text(st.characters(codec="utf-8"), max_size=12), st.just(3))
row = st.fixed_dictionaries({
    "size": numbers, "rooms": numbers, "sold": numbers, "price": prices, "city": levels,
    "zip": levels, "day": days, "clock": days, "text": words,
})  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(row, min_size=1, max_size=4), data=st.data())
def test_whatever_is_read_quickly_is_what_a_frame_gives(rows, data):
    fitted = test_whatever_is_read_quickly_is_what_a_frame_gives.fitted
    # Most columns are made ordinary, or hardly any row would be read quickly.
    plain = test_whatever_is_read_quickly_is_what_a_frame_gives.plain
    odd = data.draw(st.sets(st.sampled_from(list(plain)), max_size=2))
    rows = [{k: (v if k in odd else plain[k]) for k, v in row.items()} for row in rows]
    for X in (rows, pd.DataFrame(rows)):
        read = read_few(fitted, X)
        if read is not None:
            assert_alike(read, fitted, pd.DataFrame(rows))


@pytest.fixture(autouse=True, scope="module")
def _shared(fitted, table):
    """Give the fitted preprocessor to the test above, whose function hypothesis calls often."""
    test_whatever_is_read_quickly_is_what_a_frame_gives.fitted = fitted
    test_whatever_is_read_quickly_is_what_a_frame_gives.plain = table[0].iloc[7].to_dict()


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("size", "much", "column 'size' has the text 'much' in row 2"),
        ("rooms", float("inf"), "column 'rooms' is infinite in row 2"),
        ("rooms", 10**400, "more than 308 digits in row 2"),
        ("city", ["Rome"], "column 'city' holds a list"),
    ],
)
def test_errors_are_those_of_frames(fitted, table, column, value, words):
    rows = table[0].iloc[:3].to_dict("records")
    rows[1][column] = value
    with pytest.raises(DataError, match=words.replace("'", ".")):
        fitted.transform(rows)


def test_a_column_that_no_row_has_is_missed(fitted, table):
    rows = table[0].iloc[:2].to_dict("records")
    del rows[0]["city"]
    assert np.array_equal(fitted.transform(rows), fitted.transform(pd.DataFrame(rows)))
    del rows[1]["city"]
    for some in (rows, rows[:1]):
        with pytest.raises(DataError, match="missing columns: 'city'"):
            fitted.transform(some)


def test_remarks_on_few_rows(fitted, table):
    rows = table[0].iloc[:1].to_dict("records")
    rows[0]["city"] = "rome"
    with pytest.warns(DataWarning, match="'rome' and 'Rome' differ only by capitals"):
        fitted.transform(rows)


def test_another_fit_is_seen(table):
    frame = table[0]
    made = TabularPreprocessor().fit(frame[["rooms", "city"]])
    row = [{"rooms": 3, "city": "new"}]
    before = made.transform(row)
    other = frame[["rooms", "city"]].assign(city=np.where(frame["city"] == "Rome", "new", "old"))
    after = made.fit(other).transform(row)
    assert before.shape != after.shape
    assert np.array_equal(after, made.transform(pd.DataFrame(row)))


def test_more_rows_go_by_a_frame(fitted, table, monkeypatch):
    frame = table[0].iloc[:4]
    monkeypatch.setattr(few_rows, "_MOST_ROWS_OF_FRAMES", 3)
    monkeypatch.setattr(few_rows, "_MOST_ROWS_OF_DICTS", 3)
    for X in (frame, frame.to_dict("records")):
        assert read_few(fitted, X) is None
        assert read_few(fitted, X[:3]) is not None
    assert read_few(fitted, frame[:0]) is None


@pytest.mark.parametrize("is_class", [True, False])
def test_a_pack_predicts_few_rows_as_it_does_many(table, is_class, monkeypatch):
    frame, y = table
    frame = frame[["size", "rooms", "city"]]
    if is_class:
        model = TabularClassifier(effort="low", members=3).fit(frame, y > y.median())
    else:
        model = TabularRegressor(members=4).fit(frame, np.exp(y * 3))
        assert any(member.log_target for member in model.estimator_.members)
    predict = model.predict_proba if is_class else model.predict
    rows = frame.iloc[:5].to_dict("records")
    few = predict(rows)
    one_by_one = np.concatenate([predict([row]) for row in rows])
    monkeypatch.setattr(members, "_FEW_ROWS", 0)
    assert few.tobytes() == one_by_one.tobytes() == predict(frame.iloc[:5]).tobytes()
    monkeypatch.undo()
    model.estimator_.members[0].network.coefs_[0][...] = np.nan
    with pytest.raises(ValueError) if is_class else pytest.warns(DataWarning, match="not finite"):
        predict(rows)
