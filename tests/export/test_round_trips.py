"""What is saved comes back with the same attributes, whatever the fit was like."""

from collections import OrderedDict

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn.neural_network
from sklearn.utils import Bunch

from fastmlp import (
    MLPClassifier,
    MLPRegressor,
    ModelFileError,
    TabularClassifier,
    TabularPreprocessor,
    TabularRegressor,
    fit_many,
    from_sklearn,
    load_model,
    save_model,
    schedules,
    train_table,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS = np.random.RandomState(0).normal(size=(60, 4))
LABELS = np.array(["no", "yes", "maybe"])[np.arange(60) % 3]
QUICK = {"hidden_layer_sizes": (4,), "max_iter": 2, "diagnose": False}
FRAME = pd.DataFrame(
    {
        "size": np.where(np.arange(60) % 7 == 0, np.nan, ROWS[:, 0]),
        "colour": np.array(["red", "green", None])[np.arange(60) // 2 % 3],
        "name": [f"person {i}" for i in range(60)],
    }
)


def assert_same(found, expected, place="model"):
    """Compare values, and the attributes of objects; types count but for those of numbers."""
    if isinstance(expected, np.random.RandomState):
        found, expected = (value.get_state(legacy=False) for value in (found, expected))
    if isinstance(expected, bool | int | float | np.generic) and not isinstance(expected, str):
        same = found == expected or (found != found and expected != expected)
        assert same and isinstance(found, bool) == isinstance(expected, bool), place
        return
    assert type(found) is type(expected), place
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype, place
        np.testing.assert_array_equal(found, expected, place)
    elif isinstance(expected, dict):
        assert list(map(repr, found)) == list(map(repr, expected)), place
        for key, value in expected.items():
            assert_same(found[key], value, f"{place}[{key!r}]")
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected), place
        for i, value in enumerate(expected):
            assert_same(found[i], value, f"{place}[{i}]")
    elif hasattr(expected, "__dict__") and not isinstance(expected, type):
        assert_same(vars(found), vars(expected), place)
    else:
        assert found == expected, place


def networks():
    y = ROWS[:, 0]
    many = (np.arange(180) % 2).reshape(60, 3)
    named = pd.DataFrame(ROWS, columns=list("abcd"))
    weight = OrderedDict([("no", 1), ("yes", np.float32(2)), ("maybe", 3.5)])

    def classifier(*data, **parameters):
        return lambda: MLPClassifier(**{**QUICK, **parameters}).fit(*data)

    def regressor(*data, **parameters):
        return lambda: MLPRegressor(**{**QUICK, **parameters}).fit(*data)

    def in_parts():
        model = MLPClassifier(**QUICK)
        for _ in range(3):
            model.partial_fit(ROWS, LABELS, classes=np.unique(LABELS))
        return model

    def converted(cls, *data, **parameters):
        return lambda: from_sklearn(
            cls(hidden_layer_sizes=(4,), max_iter=2, **parameters).fit(*data)
        )

    def by_hand():
        model = regressor(ROWS, y)()
        for name in ("_optimizer", "loss_curve_", "history_", "_random_state", "t_"):
            delattr(model, name)
        return model

    return {
        "text": classifier(ROWS, LABELS, class_weight=weight),
        "two classes": classifier(ROWS, LABELS == "no", class_weight={True: 1, False: 2}),
        "one class": classifier(ROWS, LABELS == 1),
        "int8": classifier(ROWS, (np.arange(60) % 3).astype(np.int8)),
        "float labels": classifier(ROWS, np.arange(60) % 3 - 1.0, class_weight={-1.0: 1.5}),
        "objects": classifier(ROWS, LABELS.astype(object)),
        "multilabel": classifier(ROWS, many),
        "sparse multilabel": classifier(ROWS, scipy.sparse.csr_matrix(many)),
        "sparse rows": classifier(scipy.sparse.csr_matrix(ROWS), LABELS),
        "names": classifier(named, LABELS),
        "float32": classifier(ROWS.astype(np.float32), LABELS),
        "early stopping": classifier(ROWS, LABELS, early_stopping=True, scoring="loss"),
        "monitor": classifier(ROWS, LABELS, monitor=True),
        "generator": classifier(ROWS, LABELS, random_state=np.random.RandomState(3)),
        "NumPy's numbers": regressor(
            ROWS, y, alpha=np.float64(0.1), hidden_layer_sizes=np.array([4]), max_iter=np.int64(2),
            dropout=np.array([0.5]), warm_start=np.bool_(True), n_iter_no_change=np.inf,
        ),
        "linear": regressor(ROWS, y, hidden_layer_sizes=()),
        "deep": regressor(ROWS, y, hidden_layer_sizes=[3, 2], activation=["tanh", "relu"]),
        "several outputs": regressor(ROWS, ROWS[:, :2]),
        "quantiles": regressor(ROWS, y, loss="quantile", quantiles=np.array([0.1, 0.9])),
        "counts": regressor(ROWS, np.abs(y), loss="poisson"),
        "averages": regressor(ROWS, y, swa_start=1),
        **{f"solver {s}": regressor(ROWS, y, solver=s) for s in ("lbfgs", "sgd", "adagrad", "gd")},
        **{
            f"schedule {name}": regressor(ROWS, y, lr_schedule=cls())
            for name, cls in schedules.SCHEDULES.items()
        },
        "in parts": in_parts,
        "many": lambda: fit_many([MLPClassifier(**QUICK)], ROWS, LABELS)[0],
        "from scikit-learn": converted(sklearn.neural_network.MLPClassifier, ROWS, LABELS),
        "from lbfgs": converted(sklearn.neural_network.MLPRegressor, ROWS, y, solver="lbfgs"),
        "weights by hand": by_hand,
    }  # fmt: skip


@pytest.mark.parametrize("name", networks())
def test_networks(name, tmp_path):
    model = networks()[name]()
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert_same(loaded, model)
    rows = pd.DataFrame(ROWS, columns=list("abcd")) if name == "names" else ROWS
    expected = model.predict(rows)
    if scipy.sparse.issparse(expected):
        assert (loaded.predict(rows) != expected).nnz == 0
    else:
        np.testing.assert_array_equal(loaded.predict(rows), expected)
    save_model(loaded, tmp_path / "again")
    assert_same(load_model(tmp_path / "again"), model)


def test_one_generator_in_two_attributes_stays_one(tmp_path):
    generator = np.random.RandomState(3)
    model = MLPClassifier(**QUICK, random_state=generator).fit(ROWS, LABELS)
    assert model._random_state is model.random_state
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert loaded._random_state is loaded.random_state
    assert loaded.random_state.randint(10**6) == generator.randint(10**6)


def tables():
    numbers = FRAME[["size"]]
    odd = FRAME.rename(columns={"size": 1, "colour": "größe/\n", "name": None})
    tuples = FRAME.set_axis(pd.MultiIndex.from_product([["a"], list("xyz")]), axis=1)
    return {
        "frame": lambda: TabularClassifier(**QUICK).fit(FRAME, LABELS),
        "numbers": lambda: TabularRegressor(**QUICK).fit(numbers, ROWS[:, 1]),
        "text": lambda: TabularClassifier(**QUICK).fit(FRAME[["colour"]], LABELS),
        "array": lambda: TabularClassifier(**QUICK).fit(ROWS, np.arange(60) % 2),
        "polars": lambda: TabularClassifier(**QUICK).fit(pl.DataFrame({"a": ROWS[:, 0]}), LABELS),
        "odd names": lambda: TabularClassifier(**QUICK).fit(odd, pd.Series(LABELS, name=7)),
        "tuples": lambda: TabularRegressor(**QUICK).fit(tuples, ROWS[:, 1]),
        "truth": lambda: TabularClassifier(**QUICK).fit(FRAME, pd.Series(ROWS[:, 0] > 0)),
        "lbfgs": lambda: TabularRegressor(**QUICK, solver="lbfgs").fit(FRAME, ROWS[:, 1]),
        "train_table": lambda: train_table(FRAME.assign(t=LABELS), na_values=["?"], **QUICK),
        "train_table on all": lambda: train_table(FRAME.assign(t=ROWS[:, 1]), test_size=0, **QUICK),
        "pack of classifiers": lambda: TabularClassifier(**QUICK, members=2).fit(FRAME, LABELS),
        "pack of regressors": lambda: TabularRegressor(**QUICK, members=2).fit(FRAME, ROWS[:, 1]),
        "preprocessor": lambda: TabularPreprocessor().fit(FRAME),
        "preprocessor of frames": lambda: (
            TabularPreprocessor().set_output(transform="pandas").fit(FRAME)
        ),
    }


@pytest.mark.parametrize("name", tables())
def test_tables(name, tmp_path):
    model = tables()[name]()
    save_model(model, tmp_path / "model")
    assert_same(load_model(tmp_path / "model"), model)


@pytest.mark.parametrize("weight", [{0: 1, "0": 2}, {(0, 1): 2}, Bunch(no=1), {"no": len}])
def test_dicts_that_would_not_come_back_are_refused(weight, tmp_path):
    model = MLPClassifier(**QUICK).fit(ROWS, LABELS).set_params(class_weight=weight)
    with pytest.raises(ModelFileError, match="`class_weight") as caught:
        save_model(model, tmp_path / "model")
    assert "\n" not in str(caught.value)
