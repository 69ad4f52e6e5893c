"""Parameters of odd types and extreme values: an error that names them, as from scikit-learn."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import sklearn.neural_network
from helpers import fit_quietly
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import fastmlp
from fastmlp import InputError, MLPClassifier, MLPRegressor
from fastmlp.estimators import memory
from fastmlp.network import weights

RNG = np.random.RandomState(5)
X = RNG.randn(40, 3)
LABELS = np.arange(40) % 3
NUMBERS = X[:, 0] + X[:, 1]


@pytest.mark.parametrize(
    "sizes",
    [True, (True,), (4, np.True_), (3.0,), ("3",), np.array([2.0]), np.array(3), ((3,),), (None,)],
    ids=repr,
)
def test_units_are_integers(sizes):
    with pytest.raises(TypeError, match="hidden_layer_sizes must be integers"):
        MLPClassifier(sizes, max_iter=1).fit(X, LABELS)


@pytest.mark.parametrize("sizes", [(np.int8(3),), range(3, 4), np.array([3]), [3], 3], ids=repr)
def test_integers_of_any_kind(sizes):
    model = fit_quietly(MLPClassifier(sizes, max_iter=1, diagnose=False), X, LABELS)
    assert [w.shape for w in model.coefs_] == [(3, 3), (3, 3)]


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    ("sizes", "need"),
    [
        ((10**6, 10**6), "7,450 GiB"),
        ((2**70,), "more than a billion GiB"),
        ((10**400, 2), "more than a billion GiB"),
    ],
)
def test_a_network_larger_than_memory_is_refused_before_it_is_made(cls, sizes, need, monkeypatch):
    monkeypatch.setattr(weights, "initialise", None)
    model = cls(hidden_layer_sizes=sizes)
    before = dict(vars(model))
    with pytest.raises(InputError, match=rf"need {need} of memory.*smaller hidden_layer_sizes"):
        model.fit(X, LABELS)
    assert vars(model) == before


def test_the_least_limit_of_memory_counts(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMITS", (limit, tmp_path / "none"))
    monkeypatch.setattr(memory, "_LITTLE", 0)  # a limit of a real container is never so low
    whole = memory.total()
    limit.write_text("max\n")
    assert memory.total() == whole
    limit.write_text("2048\n")
    assert memory.total() == 2048
    model = MLPRegressor(hidden_layer_sizes=(20,), max_iter=1, diagnose=False)
    with pytest.raises(InputError, match=r"3-20-1 units need 7.5e-07 GiB"):
        model.fit(X, NUMBERS)
    memory.check([3, 4, 1], np.dtype(np.float32), "cpu")
    monkeypatch.setattr(memory, "total", lambda: None)  # nobody knows
    fit_quietly(model, X, NUMBERS)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of a process's memory")
def test_a_limit_of_the_process_counts():
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**36, 2**36));"
        "from fastmlp.estimators import memory; assert memory.total() <= 2**36"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("cls", "params", "message"),
    [
        (MLPClassifier, {"epsilon": 1e-60}, "epsilon=1e-60 is 0 in float32.*at least 1e-38"),
        (MLPClassifier, {"epsilon": 1e40}, "epsilon=1e.40 is infinite in float32"),
        (MLPClassifier, {"alpha": 1e40}, "alpha=1e.40 is infinite.*at most 3e.38.*float64"),
        (MLPClassifier, {"l1": 1e300}, "l1=1e.300 is infinite"),
        (MLPClassifier, {"learning_rate_init": 1e39}, "learning_rate_init=1e.39 is infinite"),
        (MLPClassifier, {"clip_value": 1e-46}, "clip_value=1e-46 is 0"),
        (MLPClassifier, {"clip_norm": 1e-99}, "clip_norm=1e-99 is 0"),
        (MLPRegressor, {"max_norm": 1e-50, "solver": "sgd"}, "max_norm=1e-50 is 0"),
        (MLPRegressor, {"loss": "huber", "huber_delta": 1e-70}, "huber_delta=1e-70 is 0"),
    ],
)
def test_numbers_that_float32_does_not_have(cls, params, message):
    params = {**params, "hidden_layer_sizes": (4,), "max_iter": 1}
    model = cls(random_state=0, diagnose=False, **params)
    for fit in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=message) as caught:
            fit(X.astype(np.float32), LABELS, **({"classes": [0, 1, 2]} if _learns(fit) else {}))
        assert not isinstance(caught.value, fastmlp.DivergenceError)
        assert not hasattr(model, "coefs_")


def _learns(fit):
    return fit.__name__ == "partial_fit" and isinstance(fit.__self__, MLPClassifier)


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": 1e-60},
        {"tol": 1e-60},
        {"l1": 1e-60},
        {"clip_value": 1e39},
        {"clip_norm": 1e39},
        {"max_norm": 1e39},
    ],
)
def test_numbers_that_make_no_difference_in_float32(params):
    def fitted(**params):
        options = {"alpha": 0.0, "tol": 0.0, "hidden_layer_sizes": (4,), **params}
        model = MLPRegressor(max_iter=3, random_state=0, diagnose=False, **options)
        return fit_quietly(model, X.astype(np.float32), NUMBERS)

    np.testing.assert_allclose(
        fitted(**params).predict(X), fitted().predict(X), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "name", ["alpha", "learning_rate_init", "tol", "epsilon", "l1", "max_norm"]
)
def test_integers_beyond_all_floats(name):
    with pytest.raises(ValueError, match=f"{name} is an integer beyond all floats"):
        MLPRegressor(**{name: 10**400}).fit(X, NUMBERS)


def test_a_rejected_first_batch_leaves_no_classes():
    model = MLPClassifier((4,))
    for batch, labels in ((np.full((2, 3), np.nan), [0, 1]), (X[:2], [0, 7])):
        with pytest.raises(ValueError):
            model.partial_fit(batch, labels, classes=[0, 1])
        assert not hasattr(model, "classes_")
    model.partial_fit(X, LABELS, classes=[0, 1, 2])
    assert model.classes_.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="not the same as on last call"):
        model.partial_fit(X, LABELS, classes=[0, 1])
    assert model.predict(X).shape == (40,)


# ---- the same class of errors as from scikit-learn ---------------------------------------------

HUGE = 2**40
ODD = [
    None, True, False, np.True_, 0, -1, 1, 3, 2.5, 3.0, -0.0, 0.0, 1e-3, 1.5, np.nan, np.inf,
    -np.inf, "3", "auto", "", b"relu", 1j, (), [], (3,), [2, 2], {3}, {}, (0,), (-2,), ("a",),
    (2.5,), HUGE, np.int8(2), np.int64(-1), np.float32(0.5), np.float64(np.nan), np.array(2),
    np.array([2]), np.array([[2]]), np.array(["relu"]), "relu", "adam", "lbfgs", "constant",
    object, range(1, 3),
]  # fmt: skip
SIZES = [value for value in ODD if value is not HUGE]  # a network that no memory holds
# Every parameter of scikit-learn's classes.
NAMES = sorted(sklearn.neural_network.MLPClassifier().get_params())
ROWS = {
    "float32": X.astype(np.float32),
    "integers": (9 * X).astype(int),
    "lists": X.tolist(),
    "objects": X.astype(object),
    "booleans": X > 0,
    "sparse": sparse.csc_matrix(X),
    "big-endian": X.astype(">f8"),
    "words": X.astype(str),
    "letters": np.full((40, 3), "a"),
    "missing": np.where(X > 1, np.nan, X),
    "infinite": np.where(X > 1, np.inf, X),
    "complex": X + 1j,
    "a vector": X[:, 0],
    "a cube": X[..., None],
    "a number": 3.0,
    "no rows": X[:0],
    "no columns": X[:, :0],
    "too few": X[:-1],
    "None": None,
    "text": "X",
}
TARGETS = {
    "missing": np.where(NUMBERS > 1, np.nan, NUMBERS),
    "infinite": np.where(NUMBERS > 1, np.inf, NUMBERS),
    "a column": LABELS[:, None],
    "truth values": LABELS > 0,
    "a constant": np.zeros(40),
    "floats": NUMBERS,
    "too many": np.r_[LABELS, 1],
    "a number": 2,
    "None": None,
    "a cube": np.zeros((40, 1, 1)),
    "complex": LABELS + 1j,
    "nothing": [],
}
WEIGHTS = {
    "negative": -np.ones(40),
    "zeros": np.zeros(40),
    "short": np.ones(39),
    "missing": np.full(40, np.nan),
    "words": ["a"] * 40,
    "integers": np.arange(40),
    "a number": 2.0,
    "a matrix": np.ones((40, 2)),
}


def outcome(cls, params, rows, y, weight, method):
    """None for a success, else the error."""
    options = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0, **params}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model = cls(**options)
            if method == "partial_fit":
                model.partial_fit(rows, y, **({"classes": [0, 1, 2]} if _classifies(cls) else {}))
            else:
                model.fit(rows, y, **({} if weight is None else {"sample_weight": weight}))
                assert len(model.predict(X)) == 40
        except Exception as error:
            return error
    return None


def _classifies(cls):
    return cls.__name__ == "MLPClassifier"


@st.composite
def calls(draw):
    """A call with at most one odd thing, so that the order of checks does not matter."""
    params, rows, y, weight = {}, X, None, None
    method = draw(st.sampled_from(["fit", "fit", "partial_fit"]))
    kind = draw(st.sampled_from(["parameter"] * 6 + ["rows", "target", "weight"]))
    if kind == "parameter":
        name = draw(st.sampled_from(NAMES))
        params = {name: draw(st.sampled_from(ODD if name != "hidden_layer_sizes" else SIZES))}
        said = name, repr(params[name])
    elif kind == "rows":
        said = kind, draw(st.sampled_from(sorted(ROWS)))
        rows = ROWS[said[1]]
    elif kind == "target":
        said = kind, draw(st.sampled_from(sorted(TARGETS)))
        y = TARGETS[said[1]]
    else:
        said = kind, draw(st.sampled_from(sorted(WEIGHTS)))
        weight, method = WEIGHTS[said[1]], "fit"
    is_usual = kind != "target"
    return said, (params, rows, y, weight, method), is_usual


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@settings(max_examples=250, derandomize=True, deadline=None, database=None)
@given(call=calls())
def test_errors_are_those_of_scikit_learn(name, call):
    said, (params, rows, y, weight, method), is_usual = call
    if is_usual:
        y = LABELS if name == "MLPClassifier" else NUMBERS
    ours, theirs = (
        outcome(getattr(package, name), params, rows, y, weight, method)
        for package in (fastmlp, sklearn.neural_network)
    )
    if said[0] == "solver" and method == "partial_fit" and said[1] != "'lbfgs'":
        # scikit-learn has no such method for an unknown solver, and this package says which it is.
        assert (ours is None) == (theirs is None)
        return
    kinds = type(ours), type(theirs)
    agree = (ours is None) == (theirs is None) and (issubclass(*kinds) or issubclass(*kinds[::-1]))
    assert agree, f"{method} {said}: {ours!r} and {theirs!r}"
