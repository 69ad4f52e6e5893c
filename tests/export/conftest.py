"""Good model files, from which tests make others."""

import json
import warnings
from pathlib import Path

import pytest
import sklearn
from crafted import FRAME, LABELS, QUICK, ROWS, Crafted
from packs import fitted

import fastmlp
from fastmlp import MLPClassifier, save_model, train_table
from fastmlp.schedules import Plateau


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def table_file(folder):
    save_model(train_table(FRAME, hidden_layer_sizes=(4,), **QUICK), folder / "table")
    return folder / "table"


@pytest.fixture(scope="module")
def network_file(folder):
    model = MLPClassifier((4,), lr_schedule=Plateau(), early_stopping=True, **QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save_model(model.fit(ROWS, LABELS), folder / "network")
    return folder / "network"


@pytest.fixture(scope="module")
def pack_file(folder):
    save_model(fitted("labels"), folder / "pack")
    return folder / "pack"


@pytest.fixture
def table(table_file):
    return Crafted(table_file)


@pytest.fixture
def network(network_file):
    return Crafted(network_file)


@pytest.fixture
def earlier_table():
    """A file of version 0.1, which has transformers of scikit-learn, as if written today."""
    crafted = Crafted(Path(__file__).parent.parent / "data" / "models" / "table-0.1.0.fastmlp")
    manifest = json.loads(crafted.members["fastmlp.json"])
    manifest |= {"fastmlp": fastmlp.__version__, "scikit-learn": sklearn.__version__}
    crafted.members["fastmlp.json"] = json.dumps(manifest).encode()
    return crafted
