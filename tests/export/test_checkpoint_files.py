"""Files of checkpoints are read as safely as models, and no fit goes on with damaged ones."""

import random
import shutil
import warnings

import numpy as np
import pytest
from crafted import FRAME, LABELS, QUICK, ROWS, Crafted, npy, object_node, plain
from test_changed_files import write_changed

from fastmlp import (
    Checkpoint,
    InputError,
    MLPClassifier,
    ModelFileError,
    TabularClassifier,
    load_model,
    save_model,
)
from fastmlp.export.checkpoint_file import is_checkpoint, read_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class KilledError(Exception):
    pass


def network():
    return MLPClassifier((4,), early_stopping=True, swa_start=None, dropout=0.1, **QUICK)


def pack():
    return TabularClassifier(hidden_layer_sizes=(4,), members=3, n_jobs=1, max_iter=3)


def begun(model, data, path):
    """Fit until the second epoch or member, whose state is not in the file."""
    events = []

    def callback(event):
        events.append(event)
        if len(events) == 2:
            raise KilledError

    with pytest.raises(KilledError):
        model.fit(*data, callback=callback, checkpoint=Checkpoint(path, 0))
    return path


@pytest.fixture(scope="module")
def of_network(folder):
    return begun(network(), (ROWS, LABELS), folder / "network.ckpt")


@pytest.fixture(scope="module")
def of_pack(folder):
    return begun(pack(), (FRAME.drop(columns="kind"), LABELS), folder / "pack.ckpt")


@pytest.fixture
def crafted(of_network):
    return Crafted(of_network)


def refused(crafted, path, match):
    crafted.write(path)
    with pytest.raises(ModelFileError, match=match) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 700
    before = path.read_bytes()
    with pytest.raises(ModelFileError, match=match):
        network().fit(ROWS, LABELS, checkpoint=path)
    assert path.read_bytes() == before


def test_models_and_checkpoints_are_told_apart(of_network, network_file, tmp_path):
    assert is_checkpoint(of_network) and not is_checkpoint(network_file)
    assert not is_checkpoint(tmp_path) and not is_checkpoint(tmp_path / "none")
    with pytest.raises(ModelFileError, match=r"this is the checkpoint of a fit, and not a model"):
        load_model(of_network)
    with pytest.raises(ModelFileError, match="this is a model, and not the checkpoint of a fit"):
        Checkpoint(network_file).model()
    with pytest.raises(ModelFileError, match="KeptFit is none of the models"):
        save_model(read_checkpoint(of_network), tmp_path / "model")


@pytest.mark.parametrize("size", [0, 1, 100, -1, -30])
def test_truncated_files_are_refused(of_network, tmp_path, size):
    path = tmp_path / "cut.ckpt"
    path.write_bytes(of_network.read_bytes()[:size])
    with pytest.raises(ModelFileError, match=r"cut\.ckpt"):
        read_checkpoint(path)
    if size:  # an empty file may be replaced, as that of a model may
        with pytest.raises(ModelFileError, match=r"exists and is not a checkpoint|damaged"):
            network().fit(ROWS, LABELS, checkpoint=path)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("theta", "[1]", "theta` is no array"),
        ("step", -1, "step` is no count"),
        ("is_over", 1, "is_over` is no truth value"),
        ("schedule", None, "schedule` is no|is damaged"),
        ("best_loss", "low", "best_loss` is no number"),
        ("n_averaged", 0.5, "n_averaged` is no count"),
        ("extra", 0, "extra` is no attribute of a TrainingState"),
    ],
)
def test_values_of_states_are_checked(crafted, tmp_path, name, value, match):
    if name == "schedule":
        value = object_node("sklearn.pipeline", "Pipeline", steps=plain([]))
        match = "holds objects of type sklearn.pipeline.Pipeline"
    crafted.put(value if name == "schedule" else plain(value), "states", 0, name)
    crafted.drop_unused()
    refused(crafted, tmp_path / "bad.ckpt", match)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("numbers", np.zeros((1, 5)), "numbers of epochs have other sizes"),
        ("is_known", np.zeros((2, 6), bool), "numbers of epochs have other sizes"),
        ("loss_curve", np.zeros(0), "curves are too short"),
        ("validation_scores", np.zeros(0), "curves are too short"),
        ("order", np.zeros(3), "order` is no array"),
        ("numbers", np.zeros(6), "numbers` is no array"),
    ],
)
def test_arrays_of_states_are_checked(crafted, tmp_path, name, value, match):
    crafted.change_array(value, "states", 0, name)
    refused(crafted, tmp_path / "bad.ckpt", match)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("theta", np.zeros(3)),
        ("first", np.zeros(10**4)),
        ("best_theta", np.zeros(1)),
        ("order", np.full(54, 10**9)),
        ("order", np.zeros(54, np.int64)),
        ("order", np.arange(53)),
    ],
)
def test_a_fit_does_not_go_on_with_other_weights_and_rows(crafted, tmp_path, name, value):
    """Kernels trust the numbers of rows that they are given."""
    path = tmp_path / "bad.ckpt"
    crafted.change_array(value, "states", 0, name)
    crafted.write(path)
    with pytest.raises(InputError, match="the checkpoint is damaged"):
        network().fit(ROWS, LABELS, checkpoint=path)


def test_files_of_earlier_versions_know_no_visits(crafted, tmp_path):
    path = tmp_path / "earlier.ckpt"
    for name in ("n_visits", "loss_sum", "n_rows"):
        crafted.remove("states", 0, name)
    crafted.write(path)
    state = read_checkpoint(path).states[0]
    assert (state.n_visits, state.loss_sum, state.n_rows) == (0, 0.0, 0.0)
    again, whole = network().fit(ROWS, LABELS, checkpoint=path), network().fit(ROWS, LABELS)
    assert all((a == b).all() for a, b in zip(again.coefs_, whole.coefs_, strict=True))


def test_states_have_places(crafted, tmp_path):
    crafted.put(plain(["", "other"]), "places")
    refused(crafted, tmp_path / "bad.ckpt", "not at as many places")


@pytest.mark.parametrize("seed", range(2))
def test_checkpoints_changed_by_chance_are_refused_or_trained(of_network, of_pack, tmp_path, seed):
    chance, path, n_read = random.Random(seed), tmp_path / "changed.ckpt", 0
    cases = [
        (of_network, network, (ROWS, LABELS)),
        (of_pack, pack, (FRAME.drop(columns="kind"), LABELS)),
    ]
    for step in range(60):
        source, make, data = cases[step // 2 % 2]
        write_changed(source, path, step, chance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read_checkpoint(path)
            except ModelFileError:
                continue
            n_read += 1
            try:
                make().fit(*data, checkpoint=path)
            except ValueError as error:  # which all errors about input are
                assert str(error)
    assert 0 < n_read < 50


def test_a_bomb_takes_no_memory(crafted, tmp_path):
    crafted.members["99.npy"] = npy(np.zeros(2**25))
    refused(crafted, tmp_path / "bad.ckpt", "far more memory than its size allows")


def test_a_checkpoint_that_goes_on_is_the_one_that_was_written(of_network, tmp_path):
    """The files above differ from one with which training goes on."""
    path = shutil.copy(of_network, tmp_path / "good.ckpt")
    again = network().fit(ROWS, LABELS, checkpoint=path)
    whole = network().fit(ROWS, LABELS)
    assert all((a == b).all() for a, b in zip(again.coefs_, whole.coefs_, strict=True))
