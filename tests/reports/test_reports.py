"""What a report is on and what it says, for tables of all kinds."""

import warnings

import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly

from fastmlp import (
    InputError,
    MLPRegressor,
    TabularClassifier,
    TabularRegressor,
    input_gradients,
    train_table,
    write_report,
)
from fastmlp.reports import importance, of_data, rows
from fastmlp.reports.figures import Drawing, plain_style
from fastmlp.reports.quality import evaluate, loss_of, predicted_by
from fastmlp.reports.rows import HELD_OUT, UNKNOWN, make_subject
from fastmlp.reports.svg import draw
from fastmlp.reports.writing import report_on_table
from fastmlp.tabular.train import held_out_rows

QUICK = {"hidden_layer_sizes": (6,), "max_iter": 12}


def trained(frame, target=None, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on columns that look odd on purpose
        return train_table(frame, target, **{**QUICK, **parameters})


def quick_regressor(X, y):
    return fit_quietly(TabularRegressor(**QUICK), X, y)


def mixed(n_rows, seed=0):
    """A table with numbers, text, dates, times, free text, and missing values."""
    random = np.random.default_rng(seed)
    words = ["red", "green", "blue", "nice", "bad", "old"]
    frame = pd.DataFrame({
        "age": random.integers(18, 90, n_rows),
        "income": random.lognormal(10, 1, n_rows),
        "city": random.choice(["Rome", "Oslo", "Lima"], n_rows),
        "since": pd.date_range("2001-01-03", periods=n_rows, freq="7h").astype(str),
        "when": [f"{i % 24:02d}:{i % 60:02d}" for i in random.integers(0, 9999, n_rows)],
        "note": [f"{' '.join(random.choice(words, 4))} {i}" for i in range(n_rows)],
        "price": [f"{x:,.2f} EUR" for x in random.lognormal(8, 1, n_rows)],
        "flag": random.random(n_rows) < 0.3,
        "one": 1,
    })  # fmt: skip
    frame.loc[frame.index % 7 == 0, "income"] = np.nan
    frame.loc[frame.index % 9 == 0, "city"] = None
    return frame


def page_of(model, frame, tmp_path, **options):
    report_on_table(model, frame, tmp_path / "page.html", **options)
    return (tmp_path / "page.html").read_text("utf-8")


def test_every_kind_of_column_is_in_the_report(tmp_path):
    frame = mixed(200)
    frame["y"] = np.where(frame["age"] + 20 * (frame["city"] == "Rome") > 60, "old", "young")
    page = page_of(trained(frame), frame, tmp_path)
    for text in ("free text", "date", "not used: constant", "“Rome”", "trained on 160 rows"):
        assert text in page
    assert "Partial dependence on the column" in page and "Confusion" not in page


@pytest.mark.parametrize(
    ("n_rows", "target", "parameters", "said"),
    [
        (60, "classes", {}, "3 classes of"),
        (60, "number", {"loss": "quantile", "quantiles": [0.1, 0.9]}, "pinball loss"),
        (60, "number", {"solver": "lbfgs"}, "Learning curve"),
        (60, "number", {"members": 2}, "The kinds of networks"),
        (10, "two", {}, "There are 2 rows only"),
        (10, "number", {"loss": "quantile", "quantiles": 0.9}, "There are 2 rows only"),
    ],
)
def test_every_kind_of_model_has_a_report(n_rows, target, parameters, said, tmp_path):
    frame = mixed(n_rows)[["age", "city"]]
    frame[target] = {
        "classes": np.resize(["a", "b", "c"], n_rows),
        "two": np.resize(["a", "b"], n_rows),
        "number": frame["age"] * 1.5,
    }[target]
    page = page_of(trained(frame, **parameters), frame, tmp_path)
    assert said in page and "nan" not in page.replace("nano", "")


def test_rows_of_a_single_class(tmp_path):
    frame = mixed(100)[["age", "city"]]
    frame["y"] = ["a"] * 98 + ["b"] * 2
    model = trained(frame, random_state=1)
    X, y = frame[["age", "city"]].head(30), frame["y"].head(30)
    write_report(model, X, y, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "have a single class" in page and "There is no linear model" in page


def test_many_columns_and_rows_are_bounded(tmp_path, monkeypatch):
    calls = []
    real = importance.make_inputs
    monkeypatch.setattr(
        importance, "make_inputs", lambda *args: calls.append(len(args[1])) or real(*args)
    )
    monkeypatch.setattr(importance, "_MOST_COLUMNS", 20)
    monkeypatch.setattr(importance, "_MOST_PREDICTIONS", 12_000)
    monkeypatch.setattr(of_data, "_MOST_COLUMNS", 18)
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(300, 25))).add_prefix("c")
    frame["y"] = frame["c0"] * 3 + random.normal(size=300)
    page = page_of(trained(frame, test_size=0.5), frame, tmp_path)
    assert calls == [120] * (20 * 5 + 1)
    assert "5 further columns of the table were not measured" in page
    assert "7 further columns of the model are not listed" in page


def test_of_many_rows_a_sample_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MOST_ROWS", 50)
    frame = mixed(200)[["age", "city"]]
    y = frame["age"] * 1.5
    write_report(quick_regressor(frame, y), frame, y, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "measured on 200 rows" in page and "A random sample of 50 rows was used" in page


def test_importances_are_those_of_shuffled_values():
    """Places of rows are shuffled, and predictions are those of a table with shuffled cells."""
    frame = mixed(80)
    y = np.where(frame["age"] > 50, "old", "young")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = TabularClassifier(**QUICK).fit(frame, y)
        subject = make_subject(model, frame, [pd.Series(y)], UNKNOWN)
        (part,) = subject.parts
        found = importance.importances(model, frame, part.y, loss_of(part)[0])
        assert set(found.names) == set(frame.columns) - {"one"} and found.names[0] == "age"
        seen = []
        importance.importances(model, frame, part.y, lambda inputs, y: seen.append(inputs) or 0.0)
        said = predicted_by(part, model._inputs(frame), part.y).shares
        assert np.array_equal(predicted_by(part, seen[0], part.y).shares, said)
    # Each column changes its own inputs and no other's.
    changed = [set(np.flatnonzero((inputs != seen[0]).any(axis=0))) for inputs in seen[1:]]
    groups = [set().union(*changed[i : i + 5]) for i in range(0, len(changed), 5)]
    assert all(groups) and sum(map(len, groups)) == len(set().union(*groups))


def test_slopes_are_those_of_the_prediction():
    frame = pd.DataFrame({
        "x": np.linspace(-3, 3, 90), "half": np.linspace(2, -2, 90) ** 3, "city": ["Rome"] * 90
    })  # fmt: skip
    frame.loc[::2, "city"] = "Oslo"
    frame.loc[5, "x"] = np.nan
    y = frame["x"].fillna(0) * 2 + frame["half"] / 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = TabularRegressor(**QUICK).fit(frame, y)
    found = importance.slopes(model, frame, None)
    gradients = input_gradients(model, frame)
    expected = gradients.abs().mean() * frame[["x", "half"]].std(ddof=0)
    assert dict(zip(found.names, found.means, strict=True)) == pytest.approx(expected.to_dict())
    assert list(found.means) == sorted(found.means, reverse=True) and found.n_rows == 90
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of_text = TabularRegressor(**QUICK).fit(frame[["city"]], y)
    assert importance.slopes(of_text, frame, None) is None
    assert importance.slopes(model, frame.assign(x=np.nan), None).names == ["half"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "how much the prediction changes"),
        ({"loss": "quantile", "quantiles": [0.1, 0.6, 0.9]}, "how much the quantile 0.6 changes"),
        (None, "how much the probability of the predicted class changes"),
    ],
)
def test_the_page_shows_slopes_where_there_are_numbers(parameters, said, tmp_path):
    frame = mixed(60)[["age", "city"]]
    frame["y"] = np.resize(["a", "b", "c"], 60) if parameters is None else frame["age"] * 1.5
    page = page_of(trained(frame, **(parameters or {})), frame, tmp_path)
    assert said in page and "Slopes of the numeric columns" in page
    frame = frame.drop(columns="age")
    page = page_of(trained(frame, **(parameters or {})), frame, tmp_path)
    assert "Importance of the columns" in page and "Slopes" not in page


def test_held_out_rows_are_found_again():
    frame = mixed(90)[["age", "city"]]
    frame["y"] = np.resize(["a", "b", "b"], 90)
    model = trained(frame, random_state=5, test_size=0.3)
    train, test = held_out_rows(model, frame)
    assert len(train) == 63 and len(test) == 27 and not set(train) & set(test)
    assert held_out_rows(model, frame.head(89)) is None
    assert held_out_rows(model, frame.iloc[::-1].reset_index(drop=True)) is None
    assert held_out_rows(model, frame.drop(columns="y")) is None
    assert held_out_rows(quick_regressor(frame[["age"]], frame["age"] * 2.0), frame) is None


def remarks(X, y, X_train, y_train, model=None):
    """What the section on the data says of rows that were held out, and of the training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cls = TabularRegressor if np.asarray(y).dtype.kind == "f" else TabularClassifier
        model = model or cls(**QUICK).fit(X_train, y_train)
        subject = make_subject(model, X, [pd.Series(y)], HELD_OUT, (X_train, [pd.Series(y_train)]))
        evaluated = [evaluate(subject, part) for part in subject.parts]
        return of_data.data_blocks(subject, evaluated, [])[0].items


def test_a_column_that_tells_the_target_is_named():
    random = np.random.default_rng(0)
    X = pd.DataFrame({"a": random.normal(size=300), "b": random.normal(size=300)})
    y = np.where(random.random(300) < 0.5, "no", "yes")
    X["paid"] = np.where(y == "yes", 100.0, 0.0) + random.normal(size=300)
    (said,) = remarks(X[200:], y[200:], X[:200], y[:200])
    assert said.startswith("Column “paid” tells the target almost alone.")
    X["paid"] = random.normal(size=300)
    assert remarks(X[200:], y[200:], X[:200], y[:200]) == [
        "Nothing was found that its owner should look at."
    ]


def test_rare_classes_repeated_rows_and_drift_are_named():
    random = np.random.default_rng(0)
    X = pd.DataFrame({"a": random.normal(size=400), "city": random.choice(["x", "y"], 400)})
    y = np.where(np.arange(400) % 40 == 0, "rare", "usual")
    known = X[:200], y[:200]
    other = X[200:].copy()
    other["a"] += 1
    other["city"] = "y"
    other.iloc[0] = X.iloc[0]
    other.iloc[2] = other.iloc[1]
    rare, repeated, in_training, drift = remarks(other, y[200:], *known)
    assert "“rare” (2.5 %, 10 rows) is rare" in rare
    assert repeated.startswith("1 row of the 200 that were measured has the columns of an earlier")
    assert in_training.startswith("1 row of the 200 that were measured (0.5 %) has the columns of")
    assert drift.startswith("Columns “a” and “city” have other values here")


def test_arrays_and_frames_from_python(tmp_path):
    random = np.random.default_rng(0)
    X = random.normal(size=(80, 3))
    y = X[:, 0] + random.normal(size=80) / 9
    model = quick_regressor(X[:50], y[:50])
    path = tmp_path / "page.html"
    write_report(model, X[50:], y[50:], path, X_train=X[:50], y_train=y[:50])
    assert "trained on 50 rows" in path.read_text("utf-8")
    write_report(model, X[50:], y[50:], path)  # a report takes the place of a report
    assert "cannot be known" in path.read_text("utf-8")
    with pytest.raises(InputError, match="belong together"):
        write_report(model, X, y, path, X_train=X)
    with pytest.raises(InputError, match="this is a MLPRegressor"):
        write_report(MLPRegressor(), X, y, path)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        write_report(model, X, y[1:], path)
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_the_style_of_a_user_of_matplotlib_does_not_matter():
    import matplotlib

    def drawn():
        with plain_style():
            drawing = Drawing()
            drawing.line([0, 1], [0, 2], 0, "label")
            drawing.legend("above")
            return draw(drawing.figure, drawing.names, "f", "title", "text")

    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "red", "font.size": 40}):
        styled = drawn()
        assert matplotlib.rcParams["font.size"] == 40
    assert styled == drawn()
