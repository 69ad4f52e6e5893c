"""Files of C predict as the models they were made of, and hold any text as text."""

import subprocess
import warnings

import numpy as np
import pandas as pd
import pytest
from c_programs import COMPILER, FLAGS, Compiled, check_equal, needs_compiler
from crafted import ROWS
from packs import TABLE, fitted, with_pack
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from fastmlp import (
    InputError,
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularRegressor,
    export_c,
    load_model,
    save_model,
    to_c,
    train_table,
)
from fastmlp.network.plan import Activation

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

QUICK = {"hidden_layer_sizes": (5, 4), "random_state": 0, "max_iter": 3, "diagnose": False}
X = ROWS[:, :3] * 2
LABELS = np.arange(60) % 3


@needs_compiler
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_activations(dtype, tmp_path):
    """One network has each of them in a layer of its own."""
    names = [activation.name.lower() for activation in Activation if activation.is_trainable]
    model = MLPClassifier((6,) * len(names), names, random_state=0, max_iter=3, diagnose=False)
    rows = X.astype(dtype)
    found, outputs = Compiled(model.fit(rows, LABELS), tmp_path).predict(rows)
    tolerance = 1e-6 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(outputs, model.predict_proba(rows), rtol=0, atol=tolerance)
    np.testing.assert_array_equal(model.classes_[found], model.predict(rows))


@needs_compiler
def test_threshold_units(tmp_path):
    model = MLPClassifier.from_weights(
        [np.ones((3, 2)), [[1], [-1]]], [[-0.5, -1.5], [-0.5]], activation="step"
    )
    rows = np.random.RandomState(0).randint(0, 2, (30, 3)).astype(float)
    rows[0] = [0.5, 0, 0]  # a sum of exactly 0
    found, outputs = Compiled(model, tmp_path).predict(rows)
    np.testing.assert_allclose(outputs, model.predict_proba(rows), rtol=0, atol=1e-13)
    np.testing.assert_array_equal(model.classes_[found], model.predict(rows))


CLASSES = {
    "two": LABELS > 0,
    "text": np.array(["b", "ä", "?"])[LABELS],
    "single": LABELS * 0 + 4,
}


@needs_compiler
@pytest.mark.parametrize("name", CLASSES)
def test_classes(name, tmp_path):
    model = MLPClassifier(**QUICK).fit(X, CLASSES[name])
    compiled = Compiled(model, tmp_path)
    found, outputs = compiled.predict(X)
    np.testing.assert_allclose(outputs, model.predict_proba(X), rtol=0, atol=1e-6)
    labels = [str(label) for label in model.predict(X).tolist()]
    assert [compiled.outputs[i] for i in found] == labels


@needs_compiler
def test_labels_of_their_own(tmp_path):
    model = MLPClassifier(**QUICK).fit(X, np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int))
    found, outputs = Compiled(model, tmp_path).predict(X)
    assert not found.any()
    np.testing.assert_allclose(outputs, model.predict_proba(X), rtol=0, atol=1e-6)


def squared(target, prediction):
    return (prediction - target) ** 2 / 2


def squared_derivative(target, prediction):
    return prediction - target


REGRESSIONS = {
    "one": (MLPRegressor(**QUICK), X[:, 0]),
    "several": (MLPRegressor(**QUICK), X[:, :2]),
    "custom loss": (MLPRegressor((squared, squared_derivative), **QUICK), X[:, :2]),
    "counts": (MLPRegressor("poisson", **QUICK), LABELS),
    "linear": (MLPRegressor(**QUICK | {"hidden_layer_sizes": ()}), X[:, 0]),
    "quantiles": (MLPRegressor("quantile", quantiles=(0.1, 0.2, 0.5, 0.9), **QUICK), LABELS),
}


@needs_compiler
@pytest.mark.parametrize("name", REGRESSIONS)
def test_regressions(name, tmp_path):
    model, y = REGRESSIONS[name]
    rows = X.astype(np.float32)
    compiled = Compiled(model.fit(rows, y.astype(np.float32)), tmp_path)
    found, outputs = compiled.predict(rows)
    assert not found.any()
    np.testing.assert_allclose(outputs, model.predict(rows).reshape(60, -1), rtol=1e-6, atol=1e-6)
    if name == "quantiles":
        assert compiled.outputs == [f"prediction_{level}" for level in (0.1, 0.2, 0.5, 0.9)]
        assert (np.diff(model._outputs(rows, model)) < 0).any()  # before they were sorted


@needs_compiler
@pytest.mark.parametrize(
    "steps",
    [
        [StandardScaler(), MinMaxScaler((-2, 3), clip=True)],
        [RobustScaler(), "passthrough", MaxAbsScaler(clip=True)],
    ],
    ids=["standard", "robust"],
)
def test_pipelines_of_scalers(steps, tmp_path):
    pipeline = make_pipeline(*steps, MLPClassifier(**QUICK)).fit(X, LABELS)
    outputs = Compiled(pipeline, tmp_path).predict(X * 3)[1]
    np.testing.assert_allclose(outputs, pipeline.predict_proba(X * 3), rtol=0, atol=1e-12)


@needs_compiler
def test_rows_that_no_network_predicts(tmp_path):
    rows = X.astype(np.float32)
    compiled = Compiled(MLPRegressor(**QUICK).fit(rows, rows[:, 0]), tmp_path)
    rows = np.array([[0, np.nan, 0], [0, 0, np.inf], [1e308, 1e308, 1e308], [0, 0, 0]])
    assert compiled.predict(rows)[0].tolist() == [-1, -1, -1, 0]


# ---- tables ------------------------------------------------------------------------------


def odd_rows():
    """Rows with what training may have had or not: nothing, blanks, and the unknown."""
    frame = TABLE.copy()
    numeric = [name for name in frame if frame[name].dtype.kind == "f"]
    frame.loc[:8, numeric[0]] = [np.nan, 1e9, -1e9, 1e308, -1e308, 0, -0.0, 5e-324, 0.1]
    frame.loc[3:5, numeric[1:]] = np.nan
    texts = [None, "", " ", "atlantis", " city 0", "city 1\u2003", "\x1ccity 2\t", "(missing)",
             "CITY 0", "city", "city 10", "city 100", "\u3000city 4\xa0\n", "c"]  # fmt: skip
    frame["city"] = frame["city"].astype(object)
    frame.loc[: len(texts) - 1, "city"] = texts
    return frame


@needs_compiler
@pytest.mark.parametrize("name", ["labels", "two", "numbers"])
def test_packs(name, tmp_path):
    model = fitted(name)
    if name == "two":
        model.threshold_ = 0.3
    if name == "numbers":
        for member in model.estimator_.members[::2]:
            member.log_target = (2.5, 0.7, 0.4)
    prepared = model.preprocessor_
    assert len(prepared.piece_columns_) and len(prepared.linear_columns_) and prepared.level_means_
    check_equal(model, odd_rows(), tmp_path)


@needs_compiler
def test_means_by_value_and_indicators(tmp_path):
    generator = np.random.RandomState(0)
    code = generator.randint(40, size=1600).astype(float)
    frame = pd.DataFrame({"code": code, "size": generator.normal(size=1600)})
    frame.loc[::7, "size"] = np.nan
    y = generator.normal(size=40)[code.astype(int)] + 0.1 * generator.normal(size=1600)
    model = TabularRegressor(members=2, random_state=0, max_iter=2, hidden_layer_sizes=(4,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(frame, pd.Series(y, name="y"))
    model = with_pack(model, frame, y, number_means=True)
    prepared = model.preprocessor_
    assert len(prepared.number_means_) and len(prepared.indicator_columns_)
    rows = frame[:60].copy()
    rows.loc[:4, "code"] = [np.nan, -1, 39, 100, 0.5]
    check_equal(model, rows, tmp_path)


@needs_compiler
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_several_targets(solver, tmp_path):
    model = TabularRegressor(solver=solver, **QUICK)
    targets = pd.DataFrame({"a": ROWS[:, 0] * 1000, "b*/": ROWS[:, 1]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(TABLE, targets)
    check_equal(model, odd_rows(), tmp_path)
    assert 'fastmlp_output_names[3] = {\n    "a",\n    "b*/"' in (tmp_path / "model.c").read_text()


@needs_compiler
def test_quantiles_of_a_table_with_their_offsets(tmp_path):
    levels = (0.1, 0.5, 0.9)
    model = TabularRegressor(loss="quantile", quantiles=levels, **QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(TABLE, pd.Series(ROWS[:, 0], name="y"))
    model.quantile_offsets_ = np.array([0.4, 0.0, -0.4])  # out of order where intervals are narrow
    check_equal(model, odd_rows(), tmp_path)


@needs_compiler
def test_tables_of_texts_alone_and_infinite_numbers(tmp_path):
    frame = pd.DataFrame({"city": list("abcdef") * 2, "t": list("uv") * 6})
    model = TabularClassifier(**QUICK).fit(frame[["city"]], frame["t"])
    check_equal(model, pd.DataFrame({"city": ["a", "b", None, "zz"]}), tmp_path)
    model = TabularClassifier(**QUICK).fit(TABLE, LABELS)
    rows = TABLE[:3].copy()
    numeric = next(name for name in rows if rows[name].dtype.kind == "f")
    rows.loc[1, numeric] = np.inf
    assert (Compiled(model, tmp_path).predict_table(model, rows)[0] == -1).tolist() == [0, 1, 0]


# ---- what is in the file -----------------------------------------------------------------

HOSTILE = [
    '"; int x; /*', "*/ int x;", "\\", "a\\", "??/", "//", "line\nbreak", "\r\n#error", "%s%n",
    "größe 日本 😀", "1\\n2", "\x7f\x1b[31m", "'", "clip", "index_of_largest", "\\\n", "7",
]  # fmt: skip


@needs_compiler
def test_names_and_texts_cannot_leave_their_literals(tmp_path):
    generator = np.random.RandomState(0)
    frame = pd.DataFrame({name: generator.normal(size=68) for name in HOSTILE})
    frame["*/ city"] = HOSTILE * 4
    target = pd.Series(np.array(HOSTILE[:3])[np.arange(68) % 3], name="*/ t")
    model = TabularClassifier(**QUICK).fit(frame, target)
    code = to_c(model)
    assert set(code.encode()) <= {10, *range(32, 127)}
    check_equal(model, frame, tmp_path)
    compiled = Compiled(model, tmp_path)
    assert compiled.numbers == HOSTILE and compiled.texts == ["*/ city"]
    assert compiled.outputs == sorted(HOSTILE[:3])


@needs_compiler
def test_the_program_in_the_comment_compiles_and_runs(tmp_path):
    model = TabularClassifier(**QUICK).fit(TABLE, LABELS)
    export_c(model, tmp_path / "model.c")
    code = (tmp_path / "model.c").read_text()
    lines = [line.removeprefix(" *") for line in code[: code.index("*/")].splitlines()]
    first = next(i for i, line in enumerate(lines) if "#include <stdio.h>" in line)
    last = next(i for i, line in enumerate(lines) if line == "     }")
    (tmp_path / "program.c").write_text("\n".join(lines[first : last + 1]) + "\n")
    names = ("predict", "number_names", "text_names", "output_names", "n_numbers", "n_texts",
             "n_outputs")  # fmt: skip
    renamed = [f"-Dfastmlp_{name}=other_{name}" for name in names]
    other = [COMPILER, *FLAGS, *renamed, "-c", "-o", "other.o", "model.c"]
    subprocess.run(other, check=True, cwd=tmp_path)
    command = [COMPILER, *FLAGS, "-o", "program", "program.c", "model.c", "other.o", "-lm"]
    subprocess.run(command, check=True, cwd=tmp_path)
    shown = subprocess.run([tmp_path / "program"], check=True, capture_output=True, text=True)
    found = dict(line.split(": ") for line in shown.stdout.splitlines())
    rows = TABLE[:1].copy()
    for column in model.columns_:
        rows[column["name"]] = 0.0 if column["kind"] == "numeric" else None
    expected = model.predict_proba(rows)[0]
    np.testing.assert_allclose([float(found[str(i)]) for i in range(3)], expected, atol=1e-5)


def test_the_same_model_has_the_same_bytes(tmp_path):
    model = fitted("labels")
    save_model(model, tmp_path / "m")
    assert to_c(model) == to_c(model) == to_c(load_model(tmp_path / "m"))


def table(**columns):
    frame = pd.DataFrame({**columns, "n": np.arange(24.0) % 5, "t": list("uv") * 12})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return train_table(frame, "t", test_size=0, **QUICK)


REFUSED = {
    "dates": (lambda: table(when=pd.date_range("2020-01-01", periods=24)), "dates.*a file of C"),
    "words": (
        lambda: table(said=[f"some words of row {i} that differ" for i in range(24)]),
        "holds free text, which a file of C cannot read",
    ),
    "zero byte": (lambda: table(city=["a\0b", "c"] * 12), "has a zero byte"),
    "no model": (Ridge, "to_c takes the models of fastmlp"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_file_of_c_holds_is_refused(name, tmp_path):
    make, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as caught:
        export_c(make(), tmp_path / "model.c")
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_and_names_that_are_no_unicode():
    model = MLPClassifier(**QUICK).fit(X, LABELS)
    model.coefs_[1][0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        to_c(model)
    model = MLPClassifier(**QUICK).fit(X, LABELS)
    model.feature_names_in_ = np.array(["a", "b", "\ud800"], dtype=object)
    with pytest.raises(InputError, match="is not Unicode"):
        to_c(model)
