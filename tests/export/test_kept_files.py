"""Models that earlier versions wrote still load, and predict what they predicted then.

``python tests/export/test_kept_files.py`` writes the files of this version to ``tests/data/models``
where they are not there yet. Files of released versions are never written again: they name the
classes of this package by public paths alone, so that modules can move.
"""

import json
import pickle
import pickletools
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastmlp
from fastmlp import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor
from fastmlp.schedules import OneCycle

MODELS = Path(__file__).parent.parent / "data" / "models"

X = np.random.RandomState(0).normal(size=(60, 4))
FRAME = pd.DataFrame(
    {
        "size": np.where(np.arange(60) % 7 == 0, np.nan, X[:, 0]),
        "weight": X[:, 1],
        "colour": np.array(["red", "green", None])[np.arange(60) % 3],
    }
)


def models():
    """A fitted model for each file, by the file's name without version."""
    quick = {"random_state": 0, "max_iter": 5, "diagnose": False}
    labels = np.array(["no", "yes", "maybe"])[np.arange(60) % 3]
    network = MLPClassifier((6,), lr_schedule=OneCycle(), **quick)
    for _ in range(2):  # the optimiser and its schedule are in the file, too
        network.partial_fit(X, labels, classes=np.unique(labels))
    return {
        "network.pickle": network,
        "network.fastmlp": MLPRegressor(
            "quantile", (6,), quantiles=[0.1, 0.9], early_stopping=True, **quick
        ).fit(X, X[:, 0]),
        "table.pickle": TabularRegressor((6,), **quick).fit(FRAME, X[:, 2]),
        "table.fastmlp": TabularClassifier((6,), **quick).fit(FRAME, labels),
    }


def predictions(model):
    inputs = FRAME if "Tabular" in type(model).__name__ else X
    return np.asarray(getattr(model, "predict_proba", model.predict)(inputs))


def load(path):
    with warnings.catch_warnings():
        # Another version of scikit-learn, or of this package, is said by a warning.
        warnings.simplefilter("ignore", UserWarning)
        if path.suffix == ".pickle":
            return pickle.loads(path.read_bytes())
        return fastmlp.load_model(path)


def kept():
    return sorted(path for path in MODELS.iterdir() if path.suffix in (".pickle", ".fastmlp"))


def test_there_are_files_of_each_kind():
    names = {path.name.split("-")[0] + path.suffix for path in kept()}
    assert names == {"network.pickle", "network.fastmlp", "table.pickle", "table.fastmlp"}


@pytest.mark.parametrize("path", kept(), ids=lambda path: path.name)
def test_predictions_are_those_of_the_version_that_wrote_the_file(path):
    expected = json.loads((MODELS / "predictions.json").read_text())[path.name]
    rtol = 1e-5 if path.name.startswith("table") else 1e-12  # of float32 and float64
    np.testing.assert_allclose(predictions(load(path)), expected, rtol=rtol, atol=1e-7)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("path", kept(), ids=lambda path: path.name)
def test_loaded_models_can_be_fitted_further(path):
    model = load(path)
    if path.name.startswith("table"):
        model.fit(FRAME, X[:, 2] if path.suffix == ".pickle" else np.arange(60) % 2)
    elif path.suffix == ".pickle":
        before = model.t_
        assert model.partial_fit(X, model.predict(X)).t_ == before + 60
    else:
        model.set_params(warm_start=True).fit(X, X[:, 0])


def paths_named_in(path):
    """Classes of this package that a file names."""
    if path.suffix == ".fastmlp":
        with zipfile.ZipFile(path) as archive:
            text = archive.read("schema.json").decode()
        found, todo = set(), [json.loads(text)]
        while todo:
            node = todo.pop()
            if isinstance(node, dict):
                found.add(f"{node.get('__module__')}.{node.get('__class__')}")
                todo += node.values()
            elif isinstance(node, list):
                todo += node
    else:
        strings, found = [], set()
        for operation, argument, _ in pickletools.genops(path.read_bytes()):
            if operation.name == "STACK_GLOBAL":
                found.add(".".join(strings[-2:]))
            elif operation.name == "GLOBAL":
                found.add(argument.replace(" ", "."))
            elif isinstance(argument, str):
                strings.append(argument)
    return {name for name in found if name.startswith("fastmlp")}


@pytest.mark.parametrize("path", kept(), ids=lambda path: path.name)
def test_files_name_public_paths_alone(path):
    named = paths_named_in(path)
    assert named
    for name in named:
        *parents, attribute = name.split(".")
        assert parents in (["fastmlp"], ["fastmlp", "schedules"]), name
        module = fastmlp if len(parents) == 1 else fastmlp.schedules
        assert hasattr(module, attribute)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_models_of_today_name_the_same_paths(tmp_path):
    """A class that moves, or a new one in a file, is noticed before it is released."""
    for name, model in models().items():
        path = write(model, tmp_path, name)
        stem, ending = name.split(".")
        *_, newest = (old for old in kept() if old.match(f"{stem}-*.{ending}"))
        assert paths_named_in(path) == paths_named_in(newest)


def write(model, folder, name):
    stem, ending = name.split(".")
    path = folder / f"{stem}-{fastmlp.__version__}.{ending}"
    if ending == "pickle":
        path.write_bytes(pickle.dumps(model, protocol=4))
    else:
        fastmlp.save_model(model, path)
    return path


def main():
    MODELS.mkdir(exist_ok=True)
    expected = MODELS / "predictions.json"
    known = json.loads(expected.read_text()) if expected.exists() else {}
    for name, model in models().items():
        stem, ending = name.split(".")
        path = f"{stem}-{fastmlp.__version__}.{ending}"
        if path not in known:
            write(model, MODELS, name)
            known[path] = predictions(model).tolist()
    expected.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
