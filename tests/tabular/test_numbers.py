"""Numbers that are written as text, and what becomes of columns and targets of them."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly

from fastmlp import TabularClassifier, TabularPreprocessor, TabularRegressor
from fastmlp.exceptions import DataError, DataWarning
from fastmlp.tabular.numbers import find_forms, number_in_form, plain_number
from fastmlp.tabular.train import evaluate, train_table

QUICK = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}
NB, THIN, MINUS = "\N{NO-BREAK SPACE}", "\N{THIN SPACE}", "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("texts", "form", "values"),
    [
        (["2,5", "10,25"], "1.234,5", [2.5, 10.25]),
        (["3,400", "12,650", "980"], "1,234.5", [3400, 12650, 980]),
        (["3.400,75", "12"], "1.234,5", [3400.75, 12]),
        (["7,654,321.5", "1"], "1,234.5", [7654321.5, 1]),
        (["7.654.321", "1"], "1.234,5", [7654321, 1]),
        (["0,125", "3,400"], "1.234,5", [0.125, 3.4]),
        (["2 300", f"11{NB}500", f"4{THIN}000"], "1 234.5", [2300, 11500, 4000]),
        (["2 300,5", "7"], "1 234,5", [2300.5, 7]),
        (["2'300", "8\N{RIGHT SINGLE QUOTATION MARK}100.5"], "1'234.5", [2300, 8100.5]),
        (["23,45,678", "9"], "1,234.5", [2345678, 9]),
        (["$5", "$1,200.50", "-$3"], "$1,234.5", [5, 1200.5, -3]),
        (["US$7", "US$1,000"], "US$1,234.5", [7, 1000]),
        (["5 €", "1.200,50 €", "3"], "1.234,5 €", [5, 1200.5, 3]),
        (["2.000 kr", "13.500 kr"], "1.234,5 kr", [2000, 13500]),
        (["EUR 5,00", "EUR 20,10"], "EUR 1.234,5", [5, 20.1]),
        (["4.5%", "0", "12 %"], "1,234.5%", [4.5, 0, 12]),
        (["(1,250)", "30", "(4)"], "1,234.5", [-1250, 30, -4]),
        (["12-", "3.5", f"{MINUS}8"], "1,234.5", [-12, 3.5, -8]),
        (["1,5e3", "+2"], "1.234,5", [1500, 2]),
    ],
)
def test_forms_of_numbers(texts, form, values):
    found, remark = find_forms({"a": texts})["a"]
    assert found == form and remark.startswith("is read as numbers: ")
    assert [number_in_form(text, form) for text in texts] == values


@pytest.mark.parametrize(
    "texts",
    [
        ["1", "2.5"],  # plain numbers are no matter of forms
        ["007", "12"],
        ["12 kg", "3 kg"],
        ["1,2,3", "4,5,6"],
        ["192.168.10.1", "10.0.0.1"],
        ["13:45", "14:00"],
        ["2024-05", "2024-06"],
        ["$5", "€5"],  # not the same unit
        ["4.5%", "0.05"],  # perhaps shares and percents
        ["1,5", "1.5"],  # not the same mark
        ["5-10", "10-20"],
        ["-", "."],
        ["<5", ">5"],
        ["--5", "(-5)"],
        ["A-1", "1e"],
        [],
    ],
)
def test_what_is_no_number_of_one_form(texts):
    assert find_forms({"a": texts}) == {}


def test_the_other_columns_decide_where_a_mark_may_be_either():
    alone = find_forms({"a": ["1,500", "2,250"]})["a"]
    assert alone[0] == "1,234.5"
    assert "'1,500' is 1500 (if it is 1.5, say so with decimal=',')" in alone[1]
    beside = find_forms({"a": ["1,500", "2,250"], "b": ["1,5", "2"]})["a"]
    assert beside[0] == "1.234,5" and "'1,500' is 1.5 (if" in beside[1]
    assert find_forms({"a": ["1,500"], "b": ["$1,234.50"]})["a"][0] == "1,234.5"
    contradiction = {"a": ["1,500"], "b": ["1,5"], "c": ["$2.25"]}
    assert find_forms(contradiction)["a"][0] == "1,234.5"


def test_plain_numbers():
    assert [plain_number(t) for t in (" 1.5 ", "-2e3", "+.5", "7.")] == [1.5, -2000, 0.5, 7]
    assert plain_number("-Infinity") == -np.inf
    assert [plain_number(t) for t in ("nan", "1_000", "1,5", "", "0x1", "\u0663")] == [None] * 6


def prices(n=60):
    rng = np.random.default_rng(3)
    price = rng.integers(1000, 9000, n) + 0.25
    return pd.DataFrame({"price": price, "size": rng.normal(size=n), "y": price * 2 + 0.5})


@pytest.mark.parametrize(
    "write",
    [
        "{:,.2f}".format,
        "${:,.2f}".format,
        lambda v: f"{v:,.2f} €".replace(",", "_").replace(".", ",").replace("_", "."),
        lambda v: f"{v:,.2f}".replace(",", NB).replace(".", ","),
        lambda v: f"{v:,.2f}".replace(",", "'"),
        lambda v: f"  {v:,.2f} ",
    ],
)
def test_features_and_targets_are_the_numbers_that_they_are_written_for(write):
    frame = prices()
    expected = train_table(frame, **QUICK)
    written = frame.assign(price=frame["price"].map(write), y=frame["y"].map(write))
    with pytest.warns(DataWarning, match="price'|'y' is read as numbers") as caught:
        model = train_table(written, **QUICK)
    assert len(caught) == 2  # each is said once
    form = model.columns_[0]["number_format"]
    assert form and model.target_format_ and model.columns_[1]["number_format"] == ""
    np.testing.assert_array_equal(model.predict(written), expected.predict(frame))
    np.testing.assert_array_equal(model.predict(frame), expected.predict(frame))
    assert evaluate(model, written) == evaluate(expected, frame) == evaluate(model, frame)
    assert model.report_["test"] == expected.report_["test"]


def test_estimators_and_the_preprocessor_read_them_as_well():
    frame = prices()
    X, y = frame.drop(columns="y"), frame["y"]
    written = X.assign(price=X["price"].map("£{:,.2f}".format))
    with pytest.warns(DataWarning, match="column 'price' is read as numbers") as caught:
        prepared = TabularPreprocessor().fit(written)
    assert [warning.filename for warning in caught] == [__file__]
    np.testing.assert_array_equal(
        prepared.transform(written), TabularPreprocessor().fit_transform(X)
    )
    money = y.map("£{:,.4f}".format)
    with pytest.warns(DataWarning) as caught:
        model = fit_quietly(TabularRegressor(**QUICK), written, money)
    assert [str(w.message).split(" is read")[0] for w in caught] == [
        "target column 'y'", "column 'price'",
    ]  # fmt: skip
    assert model.target_format_ == "£1,234.5"
    plain = fit_quietly(TabularRegressor(**QUICK), X, y.round(4))
    np.testing.assert_array_equal(model.predict(written), plain.predict(X))
    assert model.score(written, money) == plain.score(X, y.round(4))
    objects = written.to_numpy(dtype=object)
    with pytest.warns(DataWarning, match="column 0 is read as numbers"):
        other = fit_quietly(TabularRegressor(**QUICK), objects, y.round(4))
    np.testing.assert_array_equal(other.predict(objects), plain.predict(X))


def test_what_does_not_fit_the_form_later_is_named():
    frame = prices()
    written = frame.assign(price=frame["price"].map("${:,.2f}".format))
    with pytest.warns(DataWarning):
        model = train_table(written, **QUICK)
    for wrong in ("€5.00", "1.234,50", "soon"):
        bad = written.assign(price=[*written["price"][:7], wrong, *written["price"][8:]])
        with pytest.raises(DataError, match=f"'price' has the text '{wrong}' in row 8; .* such as"):
            model.predict(bad)
    plain = train_table(frame, **QUICK)
    message = "'price' has the text '1,5' in row 1; .* write its numbers as in training, such as 12"
    with pytest.raises(DataError, match=message):
        plain.predict(frame.assign(price=["1,5"] * 60))
    blank = written.assign(price=[" ", *written["price"][1:]])
    missing = frame.assign(price=[np.nan, *frame["price"][1:]])
    np.testing.assert_array_equal(model.predict(blank), model.predict(missing))


def german(values, places=1):
    """Write numbers with points between thousands and a comma before decimals."""
    swap = str.maketrans(",.", ".,")
    return [f"{value:,.{places}f}".translate(swap) for value in values]


def test_thousands_that_another_reader_took_for_decimals_are_warned_of():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"price": rng.uniform(500, 9000, 60).round(1), "x": rng.normal(size=60)})
    frame["y"] = frame["price"] * 3
    written = frame.assign(price=german(frame["price"]), y=german(frame["y"]))
    with pytest.warns(DataWarning, match="is read as numbers"):
        model = train_table(written, **QUICK)
    misread = pd.read_csv(io.StringIO("price,x,y\n1.234,0,3.702\n8.250,1,24.750\n500,0,1.500\n"))
    with pytest.warns(DataWarning) as caught:
        evaluate(model, misread)
    assert [str(warning.message)[:70] for warning in caught] == [
        "target column 'y' has the number 3.702, and training had text such as ",
        "column 'price' has the number 1.234, and training had text such as 1.2",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        for price in (
            ["1.234", "8.250"],
            [1234.0, 8250.5],
            [1234, 8250],
            [0.5, 2.25],
            [1.23456, 8],
        ):
            model.predict(pd.DataFrame({"price": price, "x": [0.0, 1.0]}))


def test_decimals_of_three_places_are_not_warned_of_in_the_table_of_the_training():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {"price": rng.uniform(1, 99, 60), "x": rng.normal(size=60), "y": range(60)}
    )
    frame["price"] = ["1,5", *german(frame["price"][1:], places=3)]
    with pytest.warns(DataWarning, match="'price' is read as numbers"):
        model = train_table(frame, "y", "regression", test_size=0.5, **QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        assert evaluate(model, frame)["rmse"] > 0


def test_the_task_is_decided_on_the_numbers():
    y = [f"{1000 + 500 * (i % 9):,}" for i in range(90)]
    frame = pd.DataFrame({"x": np.arange(90.0) % 7, "y": y})
    with pytest.warns(DataWarning, match=r"'y' is read as numbers: '\d,\d00' is \d00"):
        model = train_table(frame, **QUICK)
    assert model.report_["task"] == "regression" and model.predict(frame).dtype == float
    labels = train_table(frame, task="classification", **QUICK)
    assert set(labels.classes_) == set(y) and labels.target_format_ == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        assert set(fit_quietly(TabularClassifier(**QUICK), frame[["x"]], y).classes_) == set(y)


def test_categories_and_columns_called_text_are_not_read_as_numbers():
    frame = prices()
    frame["price"] = [f"{i % 5},5" for i in range(60)]
    model = train_table(frame.astype({"price": "category"}), **QUICK)
    assert model.columns_[0]["kind"] == "text"
    frame.attrs["reading"] = {"header": True, "na_values": [], "text": ["price"]}
    assert train_table(frame, **QUICK).columns_[0]["kind"] == "text"


def test_text_of_plain_numbers():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "code": [f"{i:03}" for i in range(60)]})
    frame["y"] = frame["a"] * 2
    as_text = frame.assign(a=frame["a"].astype(str))
    with pytest.warns(DataWarning, match="column 'a' is text, and is read as numbers"):
        model = train_table(as_text, **QUICK)
    assert [column["kind"] for column in model.columns_] == ["numeric", "dropped"]
    expected = train_table(frame, **QUICK).predict(frame)
    np.testing.assert_array_equal(model.predict(as_text), expected)
    np.testing.assert_array_equal(model.predict(frame), expected)


def test_numbers_that_are_not_written_alike_are_remarked():
    frame = prices()
    frame["price"] = [f"${i}.50" if i % 2 else f"€{i}.50" for i in range(60)]
    with pytest.warns(DataWarning, match=r"'price' is taken as text, since .* not written alike"):
        train_table(frame, **QUICK)
