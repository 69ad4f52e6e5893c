"""Columns of dates, of times of the day, and of free text, and columns that stand there twice."""

import datetime
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from fastmlp import (
    TabularPreprocessor,
    TabularRegressor,
    export_onnx,
    load_model,
    save_model,
    train_table,
)
from fastmlp.exceptions import DataWarning, InputError
from fastmlp.tabular.csv import read_table
from fastmlp.tabular.dates import DAY_FIRST, MONTH_FIRST, TIME_OF_DAY, date_form, seconds_of
from fastmlp.tabular.encoders.dates import DATE_PARTS, parts_of
from fastmlp.tabular.encoders.words import learn_words
from fastmlp.tabular.train import read_for

DAYS = pd.date_range("2023-01-30", periods=80, freq="13D")
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 5, "diagnose": False}


def read(texts):
    texts = [str(text) for text in texts]
    form = date_form(texts)
    return np.array([seconds_of(text, form) for text in texts]).astype("M8[s]")


def kind_of(column, **settings):
    frame = pd.DataFrame({"x": np.arange(len(column)) % 7, "column": column})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return TabularPreprocessor(**settings).fit(frame).columns_[1]


# ---- reading dates -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%d %b %Y", "%-m/%-d/%y", "%d.%m.%Y", "%B %-d, %Y",
        "%a, %d %b %Y %H:%M:%S +0000", "%Y/%m/%d %I:%M %p", "%d%b%Y", "%Y%m%dT%H%M%SZ", "%d-%m-%Y",
        "%m-%d-%Y", "%Y年%m月%d日", "%G-W%V-%u", "%d/%m/%Y %H:%M",
    ],
)  # fmt: skip
def test_days_are_read_in_each_form(form):
    np.testing.assert_array_equal(read(DAYS.strftime(form)), DAYS.to_numpy("M8[s]"))


@pytest.mark.parametrize("form", ["%Y-%m", "%b-%y", "%m/%Y", "%b %Y", "%B %Y"])
def test_months_are_their_first_days(form):
    expected = DAYS.to_period("M").to_timestamp().to_numpy("M8[s]")
    np.testing.assert_array_equal(read(DAYS.strftime(form)), expected)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("3 janvier 2024", "2024-01-03"), ("1er août 2023", "2023-08-01"),
        ("12 März 2024", "2024-03-12"), ("31 dic. 2022", "2022-12-31"),
        ("3 de mayo de 2021", "2021-05-03"), ("2023Q3", "2023-07-01"), ("5/6/69", "2069-05-06"),
        ("5/6/70", "1970-05-06"), ("29 Feb", "2000-02-29"), ("31/31/2024", None),
        ("30 Feb 2024", None), ("no date", None), ("13/1/2024", "2024-01-13"),
    ],
)  # fmt: skip
def test_single_dates(text, day):
    found = seconds_of(text, MONTH_FIRST)
    assert np.isnan(found) if day is None else str(np.array(found).astype("M8[s]"))[:10] == day


@pytest.mark.parametrize(
    ("text", "hours"),
    [("13:45", 13.75), ("1:45 pm", 13.75), ("12:30 am", 0.5), ("13h45", 13.75), ("1pm", 13),
     ("23:59:59.5", 24 - 0.5 / 3600), ("25x", np.nan)],
)  # fmt: skip
def test_times_of_the_day_are_read(text, hours):
    np.testing.assert_allclose(seconds_of(text, TIME_OF_DAY) / 3600, hours)


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["1/2/2024", "13/2/2024"], DAY_FIRST), (["1/2/2024", "2/13/2024"], MONTH_FIRST),
        (["1/2/2024", "1/3/2024", "1/4/2024"], DAY_FIRST),
        (["1/1/2024", "2/1/2024", "3/1/2024"], MONTH_FIRST),
        (["1/1/2024", "2/2/2024"], MONTH_FIRST), (["1.1.2024", "2.2.2024"], DAY_FIRST),
        (["2024-01-02", "2024-02-01"], ""), (["1 Feb 2024"], ""),
    ],
)  # fmt: skip
def test_the_order_of_day_and_month_is_found_once_for_a_column(texts, form):
    assert date_form(texts) == form


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)))
def test_parts_are_those_of_the_calendar(point):
    point = point.replace(microsecond=0)
    seconds = (point - datetime.datetime(1970, 1, 1)).total_seconds()
    assert seconds_of(str(point), "") == seconds
    parts = dict(zip(DATE_PARTS, parts_of(np.array([seconds]), DATE_PARTS)[0], strict=True))
    of_calendar = [point.year, point.month, point.day, point.weekday()]
    assert [parts[name] for name in ("year", "month", "day", "weekday")] == of_calendar
    assert parts["hour"] == pytest.approx(point.hour + point.minute / 60 + point.second / 3600)
    angle = 2 * np.pi * point.weekday() / 7
    assert parts["week_sin"] == pytest.approx(np.sin(angle), abs=1e-9)


def test_any_type_of_dates_gives_the_same():
    texts = DAYS.strftime("%Y-%m-%d")
    columns = [
        DAYS, texts, list(DAYS.date), DAYS.tz_localize("Europe/Rome"), DAYS.strftime("%d.%m.%Y"),
        DAYS.astype("datetime64[s]"), pd.Series(list(DAYS), dtype=object),
    ]  # fmt: skip
    frames = [pd.DataFrame({"day": column, "x": np.arange(80) % 7}) for column in columns]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        fitted = [TabularPreprocessor().fit(frame) for frame in frames]
        for prepared in fitted:
            expected = prepared.transform(frames[0])
            for frame in frames:
                np.testing.assert_array_equal(prepared.transform(frame), expected)


def test_the_order_of_the_day_is_said_and_kept():
    frame = pd.DataFrame({"day": DAYS.strftime("%d/%m/%Y"), "x": np.arange(80) % 7})
    with pytest.warns(DataWarning, match=r"'day' holds dates, of which the day is first, such as"):
        prepared = TabularPreprocessor().fit(frame)
    new = frame.head(2).assign(day=["03/04/2024", "2024-04-03"])
    first, second = prepared.transform(new)
    np.testing.assert_array_equal(first[1:], second[1:])
    with pytest.warns(DataWarning, match=r"has 1 of 2 values that are no dates .*'soon' in row 2"):
        inputs = prepared.transform(frame.head(2).assign(day=["03/04/2024", "soon"]))
    assert np.isfinite(inputs).all()


# ---- what they are good for --------------------------------------------------------------


def scores(frame, y, column, **settings):
    """R2 of a ridge regression on a table, with a column and without it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return [
            cross_val_score(
                make_pipeline(TabularPreprocessor(**settings), RidgeCV(np.logspace(-3, 3, 7))),
                table, y, cv=4,
            ).mean()
            for table in (frame, frame.drop(columns=column))
        ]  # fmt: skip


@pytest.mark.parametrize("form", [None, "%d/%m/%Y %H:%M", "%b %d, %Y %I:%M %p"])
def test_dates_tell_seasons_weekends_and_hours(form):
    rng = np.random.default_rng(0)
    when = pd.Timestamp("2021-03-01") + pd.to_timedelta(rng.integers(0, 10**6, 800), "min")
    y = 3 * np.cos(2 * np.pi * when.day_of_year / 365) + 2 * (when.day_of_week >= 5)
    y = np.asarray(y + np.sin(2 * np.pi * when.hour / 24) + rng.normal(0, 0.3, 800))
    column = when if form is None else when.strftime(form)
    frame = pd.DataFrame({"when": column, "x": rng.normal(size=800)})
    with_dates, without = scores(frame, y, "when", n_bins=12)
    assert with_dates > 0.9 > 0.1 > without


def test_times_of_the_day_tell_the_night():
    rng = np.random.default_rng(0)
    minutes = rng.integers(0, 1440, 600)
    y = np.cos(2 * np.pi * minutes / 1440) + rng.normal(0, 0.1, 600)
    frame = pd.DataFrame({"at": [f"{m // 60}:{m % 60:02}" for m in minutes],
                          "x": rng.normal(size=600)})  # fmt: skip
    with_times, without = scores(frame, y, "at")
    assert with_times > 0.9 > 0.1 > without


def reviews(n=600):
    rng = np.random.default_rng(0)
    words = ["the", "room", "was", "staff", "food", "bed", "view", "street", "noise", "lift"]
    texts = [" ".join(rng.choice(words, 7)) for _ in range(n)]
    mood = rng.integers(0, 3, n)
    moods = [["awful smell and dirty", "not clean"], ["fine and tidy", "okay"],
             ["wonderful and lovely", "great stay"]]  # fmt: skip
    texts = [f"{texts[i]} {moods[m][i % 2]}" for i, m in enumerate(mood)]
    return pd.DataFrame({"review": texts, "x": rng.normal(size=n)}), mood + rng.normal(0, 0.3, n)


def test_free_text_tells_what_was_dropped_before():
    frame, y = reviews()
    with_text, without = scores(frame, y, "review")
    assert with_text > 0.6 > 0.1 > without
    none, _ = scores(frame, y, "review", text_components=0)
    assert none < 0.1


def test_what_counts_as_free_text():
    frame, _ = reviews()
    assert kind_of(frame["review"])["kind"] == "words"
    assert kind_of(frame["review"], text_components=0)["reason"] == "text of many words"
    assert kind_of([f"p{i}" for i in range(600)])["reason"].endswith("an identifier")
    assert kind_of([f"Ann Lee{i}" for i in range(600)])["reason"].endswith("an identifier")
    levels = [f"head of the house {i}" for i in np.arange(600) % 30]
    assert kind_of(levels)["kind"] == "text"


def test_text_components_are_named_and_repeatable():
    frame, _ = reviews()
    frame.loc[5, "review"] = None
    first, second = TabularPreprocessor(), TabularPreprocessor(text_components=4)
    inputs = first.fit_transform(frame)
    np.testing.assert_array_equal(inputs, TabularPreprocessor().fit_transform(frame))
    assert inputs.shape == (600, 34) and np.isfinite(inputs).all()
    names = [
        "x", "review_text_1", "review_text_2", "review_text_3", "review_text_4", "review_length",
        "review_words", "missing_review_text_1",
    ]  # fmt: skip
    assert list(second.fit(frame).get_feature_names_out()) == names
    new = pd.DataFrame({"review": ["", "utterly unknown vocabulary"], "x": [0.0, 0.0]})
    assert np.isfinite(first.transform(new)).all()


def test_half_a_surrogate_pair_does_not_stop_text():
    texts = [f"{word} and broken \ud83d text" for word in ("good", "bad") * 10]
    words = learn_words(texts, 2)
    assert np.isfinite(words.apply(texts)).all()
    np.testing.assert_array_equal(
        words.apply(texts), words.apply([text.replace("\ud83d", "?") for text in texts])
    )


def test_dates_and_words_are_saved(tmp_path):
    frame, y = reviews(200)
    frame["when"] = pd.date_range("2020-01-01", periods=200, freq="31h").strftime("%d.%m.%Y %H:%M")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = TabularRegressor(**QUICK).fit(frame, y)
        expected = model.predict(frame)
    save_model(model, tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(frame), expected)
    for column, what in (("review", "dates"), ("when", "free text")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = TabularRegressor(**QUICK).fit(frame.drop(columns=column), y)
        with pytest.raises(InputError, match=f"holds {what}, which an ONNX graph cannot read"):
            export_onnx(other, tmp_path / "m.onnx")


# ---- copies, and small tables ------------------------------------------------------------


def test_copies_of_columns_are_dropped():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.integers(0, 9, 60), "town": rng.choice(["x", "y", "z"], 60)})
    frame = frame.assign(b=frame["a"].astype(float), city=frame["town"], c=-frame["a"])
    prepared = TabularPreprocessor().fit(frame)
    reasons = {c["name"]: c["reason"] for c in prepared.columns_ if c["kind"] == "dropped"}
    assert reasons == {"b": "the same as column 'a'", "city": "the same as column 'town'"}
    expected = prepared.transform(frame)
    np.testing.assert_array_equal(prepared.transform(frame[["a", "town", "c"]]), expected)


def test_truth_in_words_has_two_levels():
    frame = pd.DataFrame({"smokes": ["yes", "no", "no"] * 20, "x": np.arange(60) % 7})
    prepared = TabularPreprocessor().fit(frame)
    assert list(prepared.get_feature_names_out()) == ["x", "smokes_yes"]
    np.testing.assert_array_equal(prepared.transform(frame)[:3, 1], [1, -1, -1])


SMALL_TABLES = {
    "20 rows": lambda rng: pd.DataFrame({"a": rng.normal(size=20), "b": list("xyzw") * 5}),
    "more columns than rows": lambda rng: pd.DataFrame(rng.normal(size=(12, 40))),
    "all text": lambda rng: pd.DataFrame({c: rng.choice(list("xyz"), 30) for c in "abcd"}),
    "a constant column": lambda rng: pd.DataFrame({"a": rng.normal(size=20), "b": 1.0}),
    "missing in a fold": lambda rng: pd.DataFrame(
        {"a": [np.nan] * 10 + [1.0, 2.0] * 5, "b": [None] * 10 + ["u", "v"] * 5}
    ),
    "two rows": lambda rng: pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}),
    "one value and gaps": lambda rng: pd.DataFrame({"a": [1.0, np.nan] * 10}),
    "dates": lambda rng: pd.DataFrame({"a": DAYS[:25], "b": [None, "x"] * 12 + ["y"]}),
    "words": lambda rng: pd.DataFrame({"a": [f"one two three {i}" for i in range(25)]}),
}


@pytest.mark.parametrize("make", SMALL_TABLES.values(), ids=SMALL_TABLES.keys())
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_small_and_odd_tables(make, task):
    frame = make(np.random.default_rng(0))
    n = len(frame)
    y = np.minimum(np.arange(n) // 2, 2) if task == "classification" else np.arange(n) * 0.5
    prepared = TabularPreprocessor(
        n_bins=12, bin_edges="both", target_means=2, linear=True, task=task
    )
    inputs = prepared.fit_transform(frame, y, folds=np.arange(n) * 2 // n)
    assert np.isfinite(inputs).all() and inputs.shape[0] == n
    assert len(prepared.get_feature_names_out()) == inputs.shape[1]
    assert np.isfinite(prepared.transform(frame.iloc[::-1])).all()


def test_dates_and_words_of_a_file_are_read_for_predictions(tmp_path):
    frame, y = reviews(200)
    frame["at"] = [f"{i * 7 % 24}:{i % 60:02}" for i in range(200)]
    frame["day"] = pd.date_range("2020-01-05", periods=200).strftime("%d/%m/%y")
    frame.assign(y=y).to_csv(tmp_path / "t.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = train_table(read_table(tmp_path / "t.csv"), **QUICK)
        expected = model.predict(frame)
    assert [c["kind"] for c in model.columns_] == ["words", "numeric", "date", "date"]
    assert model.report_["date_columns"] == 2 and model.report_["words_columns"] == 1
    found = model.predict(read_for(model, tmp_path / "t.csv"))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
