"""What may stand in the cells of a table, in whatever container and type."""

import datetime
import fractions
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
from helpers import fit_quietly

from fastmlp import TabularClassifier, TabularPreprocessor, TabularRegressor
from fastmlp.exceptions import DataError, DataWarning
from fastmlp.tabular.train import evaluate, train_table

QUICK = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}


def table(n=60):
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "depth": rng.normal(size=n).round(3),
            "count": rng.integers(0, 40, n),
            "rock": rng.choice(["basalt", "chalk", "slate"], n),
        }
    )
    frame.loc[::7, "depth"] = np.nan
    return frame


def or_none(values, convert=float):
    return [None if pd.isna(value) else convert(value) for value in values]


def exact(value):
    return Decimal(str(value))


CONTAINERS = {
    "objects": lambda f: f.astype(object),
    "objects with None": lambda f: f.assign(depth=pd.Series(or_none(f.depth), dtype=object)),
    "decimals": lambda f: f.assign(depth=or_none(f.depth, exact), count=f["count"].map(Decimal)),
    "fractions": lambda f: f.assign(count=f["count"].map(fractions.Fraction)),
    "NumPy scalars": lambda f: f.assign(
        count=pd.Series(list(f["count"].to_numpy(np.int8)), dtype=object)
    ),
    "nullable": lambda f: f.convert_dtypes(),
    "categories": lambda f: f.astype("category"),
    "ordered categories": lambda f: f.assign(count=pd.Categorical(f["count"], ordered=True)),
    "sparse": lambda f: f.assign(count=pd.arrays.SparseArray(f["count"])),
    "some text": lambda f: f.assign(
        count=[str(value) if i % 2 else value for i, value in enumerate(f["count"])]
    ),
    "blanks": lambda f: f.assign(rock=" " + f.rock + ["", "\t"] * 30),
    "transposed twice": lambda f: f.T.T,
    "dict": lambda f: {name: list(f[name]) for name in f},
    "records": lambda f: f.to_dict("records"),
    "polars": lambda f: pl.DataFrame(
        {"depth": or_none(f.depth), "count": list(f["count"]), "rock": list(f.rock)}
    ),
    "polars, other types": lambda f: pl.DataFrame(
        {
            "depth": or_none(f.depth, exact),
            "count": pl.Series(list(f["count"]), dtype=pl.Object),
            "rock": pl.Series(list(f.rock), dtype=pl.Categorical),
        }
    ),
    "polars, Enum": lambda f: pl.DataFrame(
        {
            "depth": or_none(f.depth),
            "count": list(f["count"]),
            "rock": pl.Series(list(f.rock), dtype=pl.Enum(["basalt", "chalk", "slate"])),
        }
    ),
}  # fmt: skip


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("cls", [TabularClassifier, TabularRegressor])
def test_the_same_table_gives_the_same_predictions(cls, container):
    frame = table()
    y = frame["count"] + frame["depth"].fillna(0)
    y = np.where(y > y.median(), "deep", "flat") if cls is TabularClassifier else y
    predict = "predict_proba" if cls is TabularClassifier else "predict"
    plain = fit_quietly(cls(**QUICK), frame, y)
    other = CONTAINERS[container](frame)
    model = fit_quietly(cls(**QUICK), other, y)
    expected = getattr(plain, predict)(frame)
    for estimator, X in ((plain, other), (model, other), (model, frame)):
        np.testing.assert_array_equal(getattr(estimator, predict)(X), expected)
    assert [c["kind"] for c in model.columns_] == ["numeric", "numeric", "text"]


@pytest.mark.parametrize("container", ["decimals", "objects", "nullable", "categories", "polars"])
def test_train_table_and_evaluate_take_every_container(container):
    frame = table().assign(y=lambda f: f["count"] * 1.5)
    expected = train_table(frame, **QUICK)
    convert = CONTAINERS[container]
    other = convert(frame)
    if container == "polars":
        other = other.with_columns(y=pl.Series([exact(value) for value in frame["y"]]))
    elif container == "decimals":
        other["y"] = other["y"].map(exact)
    model = train_table(other, **QUICK)
    assert model.report_["test"] == expected.report_["test"]
    assert evaluate(model, other) == evaluate(expected, frame) == evaluate(model, frame)


def test_arrow():
    pa = pytest.importorskip("pyarrow")
    frame = table()
    y = frame["count"] * 2.0
    model = fit_quietly(TabularRegressor(**QUICK), frame, y)
    of_arrow = frame.convert_dtypes(dtype_backend="pyarrow")
    decimals = pd.ArrowDtype(pa.decimal128(10, 3))
    for other in (
        of_arrow,
        of_arrow.assign(depth=pd.array(or_none(frame.depth, exact), dtype=decimals)),
        pa.Table.from_pandas(frame),
        pa.RecordBatch.from_pandas(frame),
    ):
        again = fit_quietly(TabularRegressor(**QUICK), other, y)
        for estimator in (model, again):
            np.testing.assert_array_equal(estimator.predict(other), model.predict(frame))


def test_one_row_and_arrays_and_frames():
    frame = table()
    y = frame["count"] * 2.0
    model = fit_quietly(TabularRegressor(**QUICK), frame, y)
    expected = model.predict(frame)
    np.testing.assert_array_equal(model.predict(frame.iloc[3].to_frame().T), expected[3:4])
    rows = frame.to_numpy(dtype=object)
    of_array = fit_quietly(TabularRegressor(**QUICK), rows, y)
    np.testing.assert_array_equal(of_array.predict(rows.tolist()), expected)
    for other in (frame, CONTAINERS["polars"](frame)):
        with pytest.warns(UserWarning, match="was fitted without feature names"):
            np.testing.assert_array_equal(of_array.predict(other), expected)
    with pytest.raises(DataError, match="X has 2 columns, but TabularRegressor was fitted with"):
        of_array.predict(frame[["depth", "rock"]])


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (pd.Series([4, 9] * 30, dtype=object), [4, 9]),
        ([Decimal(4), Decimal("9.0")] * 30, [4, 9]),
        ([fractions.Fraction(4), 9] * 30, [4, 9]),
        (pd.Categorical([9, 4] * 30), [4, 9]),
        (pd.Series([Decimal(9), Decimal(4)] * 30, dtype="category"), [4, 9]),
        (pd.array([4, 9] * 30, dtype="Int64"), [4, 9]),
        (pd.array([True, False] * 30, dtype="boolean"), [False, True]),
        (pd.Series([True, False] * 30, dtype=object), [False, True]),
        (pd.array(["u", "v"] * 30, dtype="string"), ["u", "v"]),
        (["01", "02"] * 30, ["01", "02"]),
        ([" a", "b "] * 30, ["a", "b"]),
        ([7, "x"] * 30, ["7", "x"]),
        ([b"a", b"b"] * 30, ["a", "b"]),
        (pl.Series([Decimal(4), Decimal(9)] * 30), [4, 9]),
        (pl.Series(["u", "v"] * 30, dtype=pl.Categorical), ["u", "v"]),
    ],
)
def test_labels_of_every_type(y, classes):
    frame = table()
    model = fit_quietly(TabularClassifier(**QUICK), frame, y)
    assert model.classes_.tolist() == classes
    assert all(type(a) is type(b) for a, b in zip(model.classes_.tolist(), classes, strict=True))
    labels = y.to_list() if isinstance(y, pl.Series) else y
    whole = frame.assign(y=labels)
    trained = train_table(whole, **QUICK)
    assert trained.classes_.tolist() == classes
    share = np.mean(trained.predict(frame) == np.array(classes)[np.arange(60) % 2])
    if classes == ["01", "02"] or isinstance(classes[0], str):
        assert evaluate(trained, whole)["accuracy"] == share
    assert model.score(frame, y) == pytest.approx(np.mean(model.predict(frame) == np.array([
        model.classes_[0] if str(value).strip() in (str(classes[0]), "b'a'") or value == classes[0]
        else model.classes_[1] for value in labels])))  # fmt: skip


def test_labels_are_compared_in_the_type_of_the_classes():
    frame = table().assign(y=[0, 1] * 30)
    model = train_table(frame, **QUICK)
    expected = evaluate(model, frame)
    for labels in (["0", "1"] * 30, [Decimal(0), Decimal(1)] * 30, [0.0, 1.0] * 30):
        assert evaluate(model, frame.assign(y=labels)) == expected
    text = train_table(frame.assign(y=["0", "1"] * 30), **QUICK)
    assert evaluate(text, frame) == evaluate(text, frame.astype({"y": float})) == expected
    truth = train_table(frame.assign(y=[False, True] * 30), **QUICK)
    assert evaluate(truth, frame.assign(y=["false", "TRUE"] * 30)) == expected


class Opaque:
    pass


CELLS = [
    ([1, 2], "list"), ((1, 2), "tuple"), ({"a": 1}, "dict"), ({1}, "set"),
    (frozenset({1}), "frozenset"), (np.zeros(2), "ndarray"), (b"raw", "bytes"),
    (1 + 2j, "complex"), (np.complex64(1), "complex64"),
    (pd.Series([1]), "Series"), (pd.DataFrame({"a": [1]}), "DataFrame"), (Opaque(), "Opaque"),
    (range(3), "range"), (len, "builtin_function_or_method"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "kind"), CELLS)
@pytest.mark.parametrize("place", [0, 41])
def test_other_cells_are_refused_by_name(cell, kind, place):
    frame = table().assign(y=np.arange(60) % 11 * 1.5)
    message = (
        rf"column '%s' holds a {kind}, which is neither a number nor text, in row {place + 1};"
    )
    for name in ("depth", "rock", *["y"] * (kind != "bytes")):
        column = np.empty(60, dtype=object)
        column[:] = frame[name]
        column[place] = cell
        bad = frame.assign(**{name: column})
        with pytest.raises(DataError, match=message % name):
            train_table(bad, **QUICK)
        if name != "y":
            with pytest.raises(DataError, match=message % name):
                fit_quietly(
                    TabularRegressor(**QUICK), frame[["depth", "rock"]], frame["y"]
                ).predict(bad)


def test_signalling_numbers_are_refused():
    frame = table().assign(depth=pd.Series([Decimal("sNaN"), *range(59)], dtype=object))
    with pytest.raises(DataError, match="column 'depth' holds a signalling NaN"):
        TabularPreprocessor().fit(frame)


def test_times_and_intervals():
    n = 60
    rng = np.random.default_rng(0)
    seconds = rng.integers(1, 5000, n)
    y = seconds * 0.5
    plain = fit_quietly(TabularRegressor(**QUICK), pd.DataFrame({"t": seconds}), y)
    expected = plain.predict(pd.DataFrame({"t": seconds}))
    deltas = pd.to_timedelta(seconds, unit="s")
    for column in (deltas, pd.Series(list(deltas.to_pytimedelta()), dtype=object)):
        model = fit_quietly(TabularRegressor(**QUICK), pd.DataFrame({"t": column}), y)
        np.testing.assert_array_equal(model.predict(pd.DataFrame({"t": column})), expected)
    polars = pl.DataFrame({"t": list(deltas.to_pytimedelta())})
    np.testing.assert_array_equal(plain.predict(polars), expected)
    parts = pd.DataFrame(
        {"t": pd.cut(seconds, 3), "month": pd.period_range("2024-01", periods=n, freq="M")}
    )
    columns = TabularPreprocessor().fit(parts).columns_
    assert [c["kind"] for c in columns] == ["text", "date"]
    days = pd.Series([datetime.date(2024, 1, 1) + datetime.timedelta(i) for i in range(n)])
    assert TabularPreprocessor().fit(parts[["t"]].assign(d=days)).columns_[1]["kind"] == "date"


HUGE = [
    (np.inf, "is infinite"), (-np.inf, "is infinite"), ("inf", "is infinite"),
    (Decimal("-Infinity"), "is infinite"), (1e200, r"has 1e\+200"), (-1.7e308, r"has -1.7e\+308"),
    (2**1000, r"has 1.07151e\+301"), (10**400, "has a number of more than 308 digits"),
    (Decimal("1e400"), "has a number of more than 308 digits"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "message"), HUGE)
@pytest.mark.parametrize("name", ["depth", "y"])
def test_infinite_and_huge_values_are_named_before_training(name, value, message):
    frame = table().assign(y=np.arange(60) % 11 * 1.5)
    epochs = []
    for row in (0, 17, 58, 59):  # some of them in the test part
        for test_size in (0, 0.3):
            column = pd.Series(list(frame[name]), dtype=object)
            column[row] = value
            with pytest.raises(DataError, match=rf"column '{name}' {message} in row {row + 1}\b"):
                train_table(
                    frame.assign(**{name: column}), **QUICK, test_size=test_size,
                    callback=epochs.append,
                )  # fmt: skip
    assert not epochs


@pytest.mark.parametrize("value", [1e39, -1e39, 1e149])
def test_large_values_that_can_be_standardised_are(value):
    frame = table().assign(y=np.arange(60) % 11 * 1.5)
    for name in ("depth", "y"):
        far = frame.assign(**{name: [value, *frame[name][1:]]})
        for test_size in (0, 0.3):
            model = train_table(far, **QUICK, test_size=test_size)
            assert np.isfinite(model.predict(far)).all()
    prepared = TabularPreprocessor().fit(frame)
    for far in (value, 1.7e308, -1.7e308):
        inputs = prepared.transform(frame.assign(depth=far))
        assert np.isfinite(inputs).all() and np.abs(inputs).max() <= 3


def test_values_that_hardly_differ_are_said():
    frame = table().assign(y=np.arange(60) % 11 * 1e-200)
    with pytest.raises(DataError, match=r"'y' varies by 1e-199 only, .* multiply it"):
        train_table(frame, **QUICK)
    frame["y"] = np.arange(60) % 11 * 1.5
    with pytest.warns(DataWarning, match=r"column 'depth' varies by .*e-200 only, .* multiply it"):
        train_table(frame.assign(depth=frame["depth"] * 1e-200), **QUICK)


def test_infinity_in_arrays_is_named():
    X = np.random.default_rng(0).normal(size=(40, 3))
    model = fit_quietly(TabularRegressor(**QUICK), X, X[:, 0] + 1)
    X[12, 1] = np.inf
    message = "contains infinity: column 1 is infinite in row 13"
    with pytest.raises(DataError, match=message):
        model.predict(X)
    with pytest.raises(DataError, match=message):
        TabularRegressor(**QUICK).fit(X, np.arange(40.0))
    with pytest.raises(DataError, match="column 1 is infinite in row 13"):
        TabularRegressor(**QUICK).fit(X.astype(object), np.arange(40.0))


@pytest.mark.parametrize(
    "names",
    [
        [0, 1, 2], [("a", 1), ("a", 2), ("b", 1)], ["a", 1, None], [np.nan, "b", "c"],
        ["", " ", "\n"], [1.5, True, "1.5"], [pd.Timestamp("2024-01-01"), "b", 3],
    ],
)  # fmt: skip
def test_labels_of_columns_may_be_anything(names):
    frame = table()
    y = frame["count"] * 2.0
    expected = fit_quietly(TabularRegressor(**QUICK), frame, y).predict(frame)
    for index in (pd.Index(names, dtype=object, tupleize_cols=False), pd.Index(names)):
        other = frame.set_axis(index, axis=1)
        model = fit_quietly(TabularRegressor(**QUICK), other, y)
        np.testing.assert_array_equal(model.predict(other[other.columns[::-1]]), expected)
        named = train_table(other, names[1], "regression", **QUICK)
        assert np.isfinite(named.predict(other)).all()


@pytest.mark.parametrize("cls", [TabularClassifier, TabularRegressor])
def test_a_table_without_rows_has_no_predictions(cls):
    frame = table()
    y = (
        np.where(frame["count"] > 20, "many", "few")
        if cls is TabularClassifier
        else frame["count"] * 2 * 2
    )
    model = fit_quietly(cls(**QUICK), frame, y)
    polars = pl.DataFrame(schema={"depth": pl.Float64, "count": pl.Int64, "rock": pl.String})
    for empty in (frame.head(0), pd.DataFrame(columns=list(frame)), polars):
        predicted = model.predict(empty)
        assert predicted.shape == (0,) and predicted.dtype == model.predict(frame).dtype
        if cls is TabularClassifier:
            for found in (model.predict_proba(empty), model.predict_log_proba(empty)):
                assert found.shape == (0, 2) and found.dtype == np.float32
    of_array = fit_quietly(cls(**QUICK), frame.to_numpy(object), y)
    assert of_array.predict(np.empty((0, 3))).shape == (0,)
    assert model.preprocessor_.transform(frame.head(0)).shape == (
        0,
        model.estimator_.n_features_in_,
    )
    with pytest.raises(DataError, match="missing columns: 'count'"):
        model.predict(frame.head(0).drop(columns="count"))
    for data in (frame.head(0), polars):
        with pytest.raises(DataError, match="no rows"):
            cls(**QUICK).fit(data, [])


def test_other_containers_are_refused_by_name():
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0], "y": [0, 1, 0]})
    for read in (train_table, lambda X: TabularClassifier(**QUICK).fit(X, [0, 1, 0])):
        with pytest.raises(DataError, match=r"polars\.LazyFrame is no table yet; call its collect"):
            read(frame.lazy())
        with pytest.raises(DataError, match=r"the dict is no table: .* same length"):
            read({"a": [1, 2, 3], "y": [1]})
    with pytest.raises(DataError, match=r"DataFrame is needed, not a polars\.Series"):
        train_table(frame["a"])
    nested = frame.with_columns(part=pl.Series([[1], [2], [3]]))
    with pytest.raises(DataError, match="column 'part' holds a"):
        train_table(nested.select("part", "y"))
    struct = pl.DataFrame({"s": [{"k": 1}, {"k": 2}], "y": [0, 1]})
    with pytest.raises(DataError, match="column 's' holds a dict"):
        train_table(struct, **QUICK)


def test_no_warning_of_numpy_leaks():
    frame = table().assign(y=np.arange(60) % 11 * 1e140)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        model = train_table(frame.assign(depth=frame["depth"] * 1e149), **QUICK)
        assert np.isfinite(model.predict(frame)).all()
        assert np.isfinite(list(evaluate(model, frame).values())).all()
