"""Models to and from scikit-learn's classes, and through every kind of pickle."""

import io
import pickle
import subprocess
import sys

import cloudpickle
import joblib
import numpy as np
import pytest
import sklearn.neural_network
import skops.io
from helpers import fit_quietly
from sklearn.callback import ScoringMonitor
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.preprocessing import LabelBinarizer

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, from_sklearn

X, LABELS = load_iris(return_X_y=True)
TARGETS = {
    "binary": LABELS > 0,
    "multiclass": np.array(["a", "b", "c"])[LABELS],
    "multilabel": LabelBinarizer().fit_transform(LABELS),
    "number": X[:, 0] * 2,
    "counts": LABELS,
}
PARAMS = {"hidden_layer_sizes": (7, 5), "tol": 0.1, "n_iter_no_change": 1, "random_state": 0}


def fit(module, target, **params):
    if target in ("binary", "multiclass", "multilabel"):
        model = module.MLPClassifier(**PARAMS, **params)
    else:
        model = module.MLPRegressor(**PARAMS, **params)
        model.set_params(loss="poisson" if target == "counts" else "squared_error")
    return model.fit(X, TARGETS[target])


def outputs(model):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


@pytest.mark.parametrize(
    "params", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=["adam", "early", "lbfgs"]
)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_from_scikit_learn(target, params):
    theirs = fit(sklearn.neural_network, target, **params)
    ours = from_sklearn(theirs)
    assert type(ours) is getattr(fastmlp, type(theirs).__name__)
    np.testing.assert_allclose(outputs(ours), outputs(theirs), rtol=0, atol=1e-12)
    if hasattr(theirs, "classes_"):
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.loss_curve_ == getattr(theirs, "loss_curve_", [])
    assert ours.get_params()["tol"] == 0.1
    # A copy: training one leaves the other as it is.
    before = outputs(theirs)
    ours.set_params(warm_start=True).fit(X, TARGETS[target])
    ours.set_params(solver="adam", early_stopping=False).partial_fit(X, TARGETS[target])
    np.testing.assert_array_equal(outputs(theirs), before)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_to_scikit_learn(target, solver):
    ours = fit(fastmlp, target, solver=solver, n_jobs=1)
    theirs = ours.to_sklearn()
    assert type(theirs) is getattr(sklearn.neural_network, type(ours).__name__)
    np.testing.assert_allclose(outputs(theirs), outputs(ours), rtol=0, atol=1e-12)
    if hasattr(ours, "classes_"):
        np.testing.assert_array_equal(theirs.predict(X), ours.predict(X))
    theirs.set_params(warm_start=True, solver="sgd").fit(X, TARGETS[target])


def test_models_that_are_not_fitted():
    assert from_sklearn(sklearn.neural_network.MLPRegressor(alpha=0.5)).alpha == 0.5
    assert MLPClassifier(alpha=0.5, class_weight="balanced").to_sklearn().alpha == 0.5


def test_only_scikit_learns_networks_are_converted():
    with pytest.raises(TypeError, match=r"MLPRegressor, got sklearn.linear_model._ridge.Ridge"):
        from_sklearn(Ridge())


def skops_dumps(model):
    return skops.io.dumps(model)


def joblib_dumps(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    return file.getvalue()


LOAD = {
    "pickle": (pickle.dumps, "pickle.load(file)"),
    "joblib": (joblib_dumps, "joblib.load(file)"),
    "cloudpickle": (cloudpickle.dumps, "cloudpickle.load(file)"),
    "skops": (
        skops_dumps,
        "skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))",
    ),
}


@pytest.fixture(scope="module")
def in_another_process(tmp_path_factory):
    """Models, and what they predict in a process that has loaded all of them."""
    folder = tmp_path_factory.mktemp("process")
    np.save(folder / "X.npy", X)
    code = """
import pickle, joblib, cloudpickle, skops.io, numpy as np, warnings
warnings.simplefilter("error")
X = np.load("X.npy")
def save(name, model):
    has_shares = hasattr(model, "predict_proba")
    np.save(name, model.predict_proba(X) if has_shares else model.predict(X))
"""
    models = {target: fit(fastmlp, target) for target in ("multiclass", "counts")}
    for target, model in models.items():
        for kind, (dump, load) in LOAD.items():
            name = f"{target}-{kind}"
            (folder / name).write_bytes(dump(model))
            code += f"with open({name!r}, 'rb') as file:\n    save({name!r}, {load})\n"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)
    return models, folder


@pytest.mark.parametrize("kind", LOAD)
@pytest.mark.parametrize("target", ["multiclass", "counts"])
def test_into_another_process(kind, target, in_another_process):
    models, folder = in_another_process
    found = np.load(folder / f"{target}-{kind}.npy")
    np.testing.assert_array_equal(found, outputs(models[target]))


def test_subclasses_requests_and_random_states():
    class Network(MLPClassifier):
        pass

    model = Network(random_state=np.random.RandomState(0))
    theirs = model.to_sklearn()
    assert type(theirs) is sklearn.neural_network.MLPClassifier
    assert theirs.random_state is not model.random_state
    with sklearn.config_context(enable_metadata_routing=True):
        asking = MLPRegressor().set_fit_request(sample_weight=True).to_sklearn()
        assert asking.get_metadata_routing().fit.requests["sample_weight"] is True


def test_callbacks_stay_out_of_model_files(tmp_path):
    model = fit(fastmlp, "number").set_callbacks(ScoringMonitor(scoring="r2"))
    fastmlp.save_model(model, tmp_path / "model")
    np.testing.assert_array_equal(outputs(fastmlp.load_model(tmp_path / "model")), outputs(model))
    assert hasattr(model, "_skl_callbacks")


def test_table_model_of_an_older_version_can_be_fitted(people):
    X, y = people.drop(columns="class"), people["class"]
    model = fit_quietly(fastmlp.TabularClassifier(max_iter=2), X, y)
    state = model.__getstate__()
    del state["class_weight"]
    old = fastmlp.TabularClassifier.__new__(fastmlp.TabularClassifier)
    old.__setstate__(state)
    np.testing.assert_array_equal(old.predict(people), model.predict(people))
    assert fit_quietly(old, X, y).class_weight is None


def test_model_of_an_older_version_warns_and_works():
    model = fit(fastmlp, "multiclass")
    state = model.__getstate__()
    # That version did not know class weights.
    del state["class_weight"]
    state["_fastmlp_version"] = "0.0.3"
    old = MLPClassifier.__new__(MLPClassifier)
    with pytest.warns(UserWarning, match=r"saved by fastmlp 0\.0\.3 and is loaded by"):
        old.__setstate__(state)
    np.testing.assert_array_equal(outputs(old), outputs(model))
    assert old.get_params() == model.get_params()
    assert old.fit(X, TARGETS["multiclass"]).n_iter_ == model.n_iter_


def test_patch_versions_do_not_warn(monkeypatch):
    data = pickle.dumps(fit(fastmlp, "number"))
    version = fastmlp.__version__
    monkeypatch.setattr("fastmlp.estimators.base.__version__", version.rpartition(".")[0] + ".99")
    assert isinstance(pickle.loads(data), MLPRegressor)


def test_choices_that_scikit_learn_does_not_have():
    X, y = load_iris(return_X_y=True)
    options = {"solver": "nadam", "dropout": 0.1, "clip_norm": 1.0, "loss": "margin"}
    model = fit_quietly(MLPClassifier((5,), max_iter=5, diagnose=False, **options), X, y)
    theirs = model.to_sklearn()
    np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X), atol=1e-12)
    assert theirs.solver == "adam"
    assert fit_quietly(theirs.set_params(max_iter=2), X, y).n_iter_ == 2
    model = fit_quietly(MLPRegressor("huber", hidden_layer_sizes=(5,), max_iter=5), X, y)
    np.testing.assert_allclose(model.to_sklearn().predict(X), model.predict(X), atol=1e-12)
    for options in ({"activation": "gelu"}, {"loss": "quantile", "quantiles": [0.1, 0.9]}):
        model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=5, diagnose=False, **options)
        with pytest.raises(ValueError, match="to_onnx"):
            fit_quietly(model, X, y).to_sklearn()
