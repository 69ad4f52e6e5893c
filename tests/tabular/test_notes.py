"""What is doubtful about a table is said, once, and what is of no use is dropped with a reason."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly

from fastmlp import TabularClassifier, TabularPreprocessor, TabularRegressor
from fastmlp.exceptions import DataError, DataWarning
from fastmlp.tabular.train import train_table

QUICK = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
N = 60


def table():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"x": rng.normal(size=N).round(2), "z": rng.normal(size=N).round(2)})
    return frame.assign(y=frame["x"] + rng.normal(size=N).round(1))


def described(frame, **new):
    return TabularPreprocessor().fit(frame.drop(columns="y").assign(**new)).columns_[-1]


DATES = pd.date_range("2023-01-30", periods=N, freq="13D")


@pytest.mark.parametrize(
    "texts",
    [
        DATES.strftime("%Y-%m-%d"), DATES.strftime("%Y-%m-%dT%H:%M:%S"), DATES.strftime("%d %b %Y"),
        DATES.strftime("%-m/%-d/%y"), DATES.strftime("%d.%m.%Y"), DATES.strftime("%B %-d, %Y"),
        DATES.strftime("%a, %d %b %Y %H:%M:%S +0000"), DATES.strftime("%G-W%V"),
        DATES.strftime("%Y-%m"), DATES.strftime("%b-%y"), DATES.strftime("%Y/%m/%d %I:%M %p"),
        DATES.strftime("%d%b%Y"), DATES.strftime("%Y%m%dT%H%M%SZ"), list(DATES), list(DATES.date),
        DATES.to_period("M"), DATES,
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::fastmlp.DataWarning")  # it says whether the day is first
def test_dates_are_recognised(texts):
    assert described(table(), when=texts)["kind"] == "date"


@pytest.mark.parametrize("form", ["%H:%M", "%H:%M:%S", "%I:%M %p", "%H:%M:%S.%f"])
def test_times_of_the_day_are_recognised(form):
    times = pd.date_range("2024-01-01", periods=N, freq="17min")
    for texts in (times.strftime(form), list(times.time)):
        column = described(table(), when=texts)
        assert column["kind"] == "date" and column["date_form"] == "time of day"


@pytest.mark.parametrize("texts", [["10-20", "20-30"], ["mar 5x", "3 marbles"], ["1.2.3", "1.2.4"]])
def test_other_text_is_no_date(texts):
    column = described(table(), when=[f"{texts[i % 2]}{i // 2 % 25}" for i in range(N)])
    assert column["kind"] == "text"


@pytest.mark.parametrize("name", ["Id", "id", "PassengerId", "user_id", "index", "row", "Nr.", "#"])
@pytest.mark.parametrize("first", [0, 1, 100])
def test_numbers_of_rows_are_dropped(name, first):
    for values in (np.arange(N) + first, first - np.arange(N), np.arange(N) * 1.0 + first):
        frame = table()
        frame.insert(0, name, values)
        model = train_table(frame, **QUICK)
        assert model.report_["dropped_columns"] == {name: "numbers of rows, in their order"}


def test_what_may_number_the_rows_is_said():
    frame = table()
    shuffled = np.random.default_rng(0).permutation(N)
    for name, values, words in (
        ("count", np.arange(N), "column 'count' counts the rows; leave it out unless"),
        ("step", np.arange(N) + 1, "column 'step' counts the rows; leave it out unless"),
        ("id", shuffled, "column 'id' differs in every row, as an identifier does"),
        ("id", np.arange(N) * 3, "column 'id' differs in every row, as an identifier does"),
    ):
        with pytest.warns(DataWarning, match=f"^{words}") as caught:
            model = train_table(frame.assign(**{name: values}, y=frame["y"]), "y", **QUICK)
        assert len(caught) == 1 and caught[0].filename == __file__
        assert {c["name"]: c["kind"] for c in model.columns_}[name] == "numeric"
    quiet = {"year": np.arange(N) + 1950, "paid": shuffled, "grid": np.arange(N) % 9,
             "valid": np.arange(N) * 2}  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        train_table(frame.assign(**quiet, y=frame["y"]), "y", **QUICK)


def test_copies_of_the_target_are_said():
    frame = table()
    words = "leave it out if it is known only together with the target"
    with pytest.warns(DataWarning, match=f"column 'again' equals the target; {words}"):
        model = train_table(frame.assign(again=frame["y"]), "y", **QUICK)
    assert [c["kind"] for c in model.columns_] == ["numeric"] * 3  # it is not dropped
    frame["y"] = ["pass" if i % 3 else "fail" for i in range(N)]
    for copy in (frame["y"] == "pass", frame["y"].str[0].str.upper(), (frame["y"] == "fail") * 5):
        told = r"column 'passed' tells the target by itself: each of its values goes with one class"
        with pytest.warns(DataWarning, match=told) as caught:
            train_table(frame.assign(passed=copy), "y", **QUICK)
        assert len(caught) == 1
        with pytest.warns(DataWarning, match=told):
            fit_quietly(TabularClassifier(**QUICK), frame[["x"]].assign(passed=copy), frame["y"])
    almost = (frame["y"] == "pass").where(np.arange(N) != 7, frame["y"][7] != "pass")
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        train_table(frame.assign(passed=almost), "y", **QUICK)


def test_a_row_of_units_is_said():
    frame = table()
    units = pd.DataFrame({"x": ["kg"], "z": ["m"], "y": ["eur"]})
    with_units = pd.concat([units, frame.astype(str)], ignore_index=True)
    message = (
        "'y' is text with .* different values in 61 rows; all rows but one are numbers "
        r"\('eur' in row 1\); remove that row"
    )
    with pytest.raises(DataError, match=message):
        train_table(
            with_units.assign(y=["eur", *(f"{v + i / 100:.2f}" for i, v in enumerate(frame.y))])
        )
    with pytest.raises(DataError, match=r"the text 'eur' in row 1, and all rows but this one are"):
        train_table(with_units, task="regression")
    features = with_units[["x", "z"]]
    with pytest.warns(DataWarning, match="is taken as text, but all rows but one are") as caught:
        fit_quietly(
            TabularRegressor(**QUICK), features.assign(w=np.arange(61.0) % 7), [0.5, *frame.y]
        )
    assert [re.findall(r"'\w+'", str(w.message))[:2] for w in caught] == [
        ["'x'", "'kg'"], ["'z'", "'m'"],
    ]  # fmt: skip


def test_marks_of_missing_values_are_said_but_no_numbers():
    frame = table()
    income = [f"{1 + i // 10} {i:03}" if i > 20 else str(i) for i in range(N)]
    with pytest.warns(DataWarning, match="column 'income' is read as numbers") as caught:
        model = train_table(frame.assign(income=income, y=frame["y"]), "y", **QUICK)
    assert len(caught) == 1 and "na_values" not in model.columns_[2]["note"]
    marked = [value if i % 20 else "?-"[i // 20 % 2] for i, value in enumerate(income)]
    said = r"if '\?' \(2 rows\), '-' \(1 row\) mean missing, say so with na_values=\['\?', '-'\]"
    with pytest.warns(DataWarning, match=said):
        train_table(frame.assign(income=marked), "y", **QUICK)
    many = [value if i % 5 else f"unknown {i}" for i, value in enumerate(income)]
    with pytest.warns(DataWarning, match=r"most rows are numbers; the others are .* and 10 more"):
        train_table(frame.assign(income=many), "y", **QUICK)


def test_remarks_are_few_and_come_after_the_fit():
    frame = table()
    many = {f"p{i}": [f"{j},{i}5" for j in range(N)] for i in range(14)}
    model = TabularRegressor(**QUICK)
    with pytest.warns(DataWarning) as caught:
        fit_quietly(model, frame[["x"]].assign(**many), frame["y"])
    assert len(caught) == 11
    assert str(caught[-1].message).startswith("there are remarks on 4 more columns")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", DataWarning)
        again = TabularRegressor(**QUICK)
        with pytest.raises(DataWarning):
            again.fit(frame[["x"]].assign(**many), frame["y"])
    assert len(again.predict(frame[["x"]].assign(**many))) == N


def test_a_missing_class_may_be_a_word_of_a_file():
    frame = table().assign(y=["ZA", None, "BW"] * 20)
    with pytest.raises(DataError, match=r"missing in 20 of 60 rows .*a class called NA, None or"):
        train_table(frame)
    with pytest.raises(DataError, match=r"remove or fill these rows$"):
        train_table(frame.assign(y=[1.5, None, 2] * 20))


def test_the_share_of_the_test_is_said_as_it_was_given():
    for share in (0.999, 0.99999999):
        with pytest.raises(DataError, match=f"too few to hold out test_size={share}; use"):
            train_table(table().head(5), "y", "regression", test_size=share)


def test_very_large_integers_are_no_labels():
    frame = table().assign(y=np.arange(N) % 3 * 1e40)
    assert train_table(frame, **QUICK).report_["task"] == "regression"
    with pytest.raises(DataError, match=r"'y' has 1e\+40 in row 2, which is too large for a class"):
        train_table(frame, task="classification")


@pytest.mark.parametrize(
    ("written", "unit"),
    [("{} kg", "kg"), ("{}k", "k"), ("{}.5 km/h", "km/h"), ("-{} °C", "°C"), ("[{}]", "[...]")],
)
def test_a_unit_of_numbers_is_said(written, unit):
    frame = table().assign(y=[i % 3 for i in range(N)])
    frame.insert(0, "size", [written.format(i % 12) for i in range(N)])
    with pytest.warns(DataWarning, match=re.escape(f"looks like numbers with {unit!r}, such as")):
        assert train_table(frame, test_size=0, **QUICK).columns_[0]["kind"] == "text"
    with pytest.raises(DataError, match=re.escape(f"it looks like numbers with {unit!r}, such")):
        train_table(frame.assign(size=[written.format(i) for i in range(N)]), "size", **QUICK)


@pytest.mark.parametrize("written", ["A{}", "{}-{}", "{}th of {}", "{}", "no. {}", "{}/{}"])
def test_codes_have_no_unit(written):
    assert not described(table(), code=[written.format(i % 25, i % 3) for i in range(N)])["note"]


def test_a_single_text_beside_numbers_is_said():
    frame = table().assign(grade=[str(i % 3) for i in range(N)], y=[str(i % 2) for i in range(N)])
    frame.loc[7, ["grade", "y"]] = "Total"
    frame = frame[["x", "grade", "y"]]
    with pytest.warns(DataWarning) as caught:
        train_table(frame, **QUICK)
    first, second = [str(warning.message) for warning in caught]
    same = "is taken as text, but all rows but one are numbers ('Total' in row 8); remove that row"
    assert first.startswith(f"column 'grade' {same}, or if it means missing")
    assert second == f"target column 'y' {same} if they are no labels"


def test_letters_beside_digits_are_classes_as_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        train_table(table().assign(y=[f"{i % 16:x}" for i in range(N)]), test_size=0, **QUICK)


def test_a_few_words_among_dates_do_not_matter():
    texts = list(DATES.strftime("%Y-%m-%d"))
    texts[50:53] = ["unknown"] * 3
    assert described(table(), when=texts)["kind"] == "date"
    texts[10:35] = [f"word {i}" for i in range(25)]
    assert described(table(), when=texts)["kind"] != "date"


def test_long_integers_are_different_ones():
    frame = table().assign(y=[10**17 + i for i in range(N)])  # as floats, there are five of them
    assert train_table(frame, **QUICK).report_["task"] == "regression"
    frame = table().assign(y=[10**17 + i % 3 for i in range(N)])
    assert train_table(frame, **QUICK).classes_.tolist() == [10**17, 10**17 + 1, 10**17 + 2]
