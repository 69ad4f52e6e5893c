"""Checkpoints: what a fit keeps, when it writes it, and with what it does not go on."""

import copy
import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly, flat
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import make_scorer, mean_absolute_error, r2_score
from sklearn.model_selection import GridSearchCV

from fastmlp import (
    Checkpoint,
    InputError,
    InterruptedTrainingWarning,
    MLPClassifier,
    MLPRegressor,
    ModelFileError,
    TabularClassifier,
    TabularRegressor,
    fit_many,
    load_model,
    save_model,
)
from fastmlp.estimators.checkpoints import parameters_of
from fastmlp.export import checkpoint_file
from fastmlp.export.checkpoint_file import read_checkpoint
from fastmlp.training.keeping import kept

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X = np.random.default_rng(0).normal(size=(80, 3))
y = (X[:, 0] > 0.2).astype(int)
QUICK = {"hidden_layer_sizes": (4,), "max_iter": 8, "random_state": 0, "tol": 0.0}


class KilledError(Exception):
    pass


def killed_at(number):
    """A callback that ends a fit as a fault would, at its given call."""
    calls = []

    def callback(event):
        calls.append(event)
        if len(calls) == number:
            raise KilledError

    return callback


def killed(model, path, number, X=X, y=y, **options):
    """Fit a model until its callback is called for the given time; each epoch is kept."""
    with pytest.raises(KilledError):
        model.fit(X, y, checkpoint=Checkpoint(path, 0), callback=killed_at(number), **options)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.ckpt"


@pytest.fixture
def half(path):
    """The checkpoint of a fit after five of its epochs."""
    return killed(MLPClassifier(**QUICK), path, 6)


def test_a_fit_without_an_end_leaves_its_state_and_one_with_an_end_no_file(half):
    found = read_checkpoint(half).progress
    assert found["epochs"] == 5 and found["networks"] == 1
    told = []
    fit_quietly(MLPClassifier(**QUICK), X, y, callback=told.append, checkpoint=half)
    assert [epoch.epoch for epoch in told] == [6, 7, 8]
    assert not half.exists()


def test_the_file_stays_where_it_is_to_be_kept(half):
    model = fit_quietly(MLPClassifier(**QUICK), X, y, checkpoint=Checkpoint(half, 0, keep=True))
    told = []
    again = MLPClassifier(**QUICK)
    fit_quietly(again, X, y, callback=told.append, checkpoint=Checkpoint(half, keep=True))
    assert told == [] and (flat(again) == flat(model)).all() and half.exists()


def test_a_fit_that_early_stopping_has_ended_is_not_trained_on(path):
    options = {**QUICK, "max_iter": 200, "early_stopping": True, "n_iter_no_change": 2, "tol": 1.0}
    whole = MLPClassifier(**options).fit(X, y)
    MLPClassifier(**options).fit(X, y, checkpoint=Checkpoint(path, 0, keep=True))
    told = []
    again = MLPClassifier(**options).fit(X, y, callback=told.append, checkpoint=path)
    assert told == [] and again.n_iter_ == whole.n_iter_ < 200
    assert (flat(again) == flat(whole)).all()


def test_short_fits_write_nothing(path, monkeypatch):
    monkeypatch.setattr(checkpoint_file, "write_checkpoint", lambda *args: pytest.fail("written"))
    fit_quietly(MLPClassifier(**QUICK), X, y, checkpoint=path)


@pytest.mark.parametrize("every", [0.0, 2.5, 10.0])
def test_the_file_is_never_older_than_it_may_be(path, monkeypatch, every):
    """By a clock on which each epoch takes a second."""
    now, written = [0.0], []

    class Clock:
        @staticmethod
        def perf_counter():
            return now[0]

    def write(kept, path):
        written.append(now[0])

    monkeypatch.setattr("fastmlp.training.keeping.time", Clock)
    monkeypatch.setattr(checkpoint_file, "write_checkpoint", write)

    def epoch_ends(epoch):
        now[0] += 1

    model = MLPClassifier(**{**QUICK, "max_iter": 30})
    fit_quietly(model, X, y, callback=epoch_ends, checkpoint=Checkpoint(path, every))
    ages = np.diff([0.0, *written, now[0]])
    assert ages.max() <= max(every, 1) and len(written) <= 30 / max(1, np.floor(every))


def test_training_has_most_of_the_time_where_writing_takes_long(path, monkeypatch):
    """By a clock on which an epoch takes a second, and a file five of them."""
    now, written = [0.0], []

    class Clock:
        @staticmethod
        def perf_counter():
            return now[0]

    def write(kept, path):
        now[0] += 5
        written.append(now[0])

    def epoch_ends(epoch):
        now[0] += 1

    monkeypatch.setattr("fastmlp.training.keeping.time", Clock)
    monkeypatch.setattr(checkpoint_file, "write_checkpoint", write)
    model = MLPClassifier(**{**QUICK, "max_iter": 200})
    fit_quietly(model, X, y, callback=epoch_ends, checkpoint=Checkpoint(path, 2.0))
    assert len(written) >= 4 and 5 * len(written) <= 200 / 8


@pytest.mark.parametrize("make", [lambda: np.random.RandomState(7), lambda: None])
def test_generators_go_on(path, make):
    def begin():
        np.random.seed(3)  # noqa: NPY002 (what random_state=None stands for)
        return MLPClassifier(**{**QUICK, "random_state": make(), "early_stopping": True})

    whole = fit_quietly(begin(), X, y)
    killed(begin(), path, 4)
    model = begin()
    np.random.seed(4)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    fit_quietly(model, X, y, checkpoint=path)
    assert (flat(model) == flat(whole)).all()
    if model.random_state is None:  # whose state would another fit disturb?
        assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_a_warm_start_goes_on(path):
    first = fit_quietly(MLPClassifier(**QUICK, warm_start=True), X, y)
    whole = fit_quietly(copy.deepcopy(first), X, y)
    killed(copy.deepcopy(first), path, 4)
    with pytest.raises(InputError, match=r"the weights at the start was \w+ there, and is missing"):
        fit_quietly(clone(first), X, y, checkpoint=path)
    again = fit_quietly(copy.deepcopy(first), X, y, checkpoint=path)
    assert (flat(again) == flat(whole)).all() and again.loss_curve_ == whole.loss_curve_


def test_lbfgs_starts_anew_from_its_weights_and_says_so(path):
    model = MLPRegressor(**{**QUICK, "max_iter": 60}, solver="lbfgs")
    killed(clone(model), path, 6, y=X[:, 0] ** 2)
    reached = read_checkpoint(path).states[0].loss_curve[-1]
    with pytest.warns(UserWarning, match="has no memory of L-BFGS"):
        model.fit(X, X[:, 0] ** 2, checkpoint=path)
    assert model.loss_ < reached and model.n_iter_ == len(model.loss_curve_) > 5


def test_networks_that_fit_many_trains_for_a_pack_go_on(path):
    """As those of a pack do on a GPU."""

    def trained(should_stop):
        with kept(Checkpoint(path, 0)) as place:
            place.keeper.check(lambda: {"of": "a pack"})
            networks = [MLPClassifier(**{**QUICK, "random_state": seed}) for seed in range(3)]
            for number, net in enumerate(networks):
                net._place = place.inside(str(number), is_member=True, has_model=False)
            return fit_many(networks, X, y, n_jobs=1, should_stop=should_stop)

    calls = []

    def killed():
        calls.append(None)
        if len(calls) == 11:
            raise KilledError

    with pytest.raises(KilledError):
        trained(killed)
    assert read_checkpoint(path).progress["networks"] == 2
    for seed, net in enumerate(trained(None)):
        whole = fit_quietly(MLPClassifier(**{**QUICK, "random_state": seed}), X, y)
        assert (flat(net) == flat(whole)).all() and "_place" not in vars(net)


# ---- other fits --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "data", "difference"),
    [
        ({"alpha": 0.01}, (X, y), "`alpha` was 0.0001 there, and is 0.01 here"),
        ({"solver": "sgd"}, (X, y), "`solver` was 'adam' there, and is 'sgd' here"),
        ({}, (X[:-1], y[:-1]), r"the shape of X was \(80, 3\) there, and is \(79, 3\) here"),
        ({}, (X.astype(np.float32), y), "the type of X was float64 there, and is float32 here"),
        ({}, (np.where(X[7, 1] == X, 0, X), y), "the digest of X was"),
        ({}, (X, 1 - y), "the digest of y was"),
        ({}, (X, y, np.ones(80)), "the shape of sample_weight was missing there"),
    ],
)
def test_other_fits_are_refused_by_their_first_difference(half, options, data, difference):
    before = half.read_bytes()
    model = MLPClassifier(**{**QUICK, **options})
    with pytest.raises(InputError, match=difference) as caught:
        model.fit(*data, checkpoint=half)
    assert str(half) in str(caught.value) and half.read_bytes() == before
    assert not hasattr(model, "coefs_")


def loss_with(power):
    return lambda y, p: abs(y - p) ** power


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda model, X, y: 0.0, lambda model, X, y: 1.0),
        (lambda model, X, y: X in {"a", "b"}, lambda model, X, y: X in {"a", "c"}),
        (loss_with(2), loss_with(3)),
        ((loss_with(2), abs), (loss_with(2), max)),
        (make_scorer(r2_score), make_scorer(mean_absolute_error)),
        (make_scorer(r2_score), make_scorer(r2_score, greater_is_better=False)),
    ],
)
def test_functions_are_told_apart_by_what_they_do(first, second):
    described = [parameters_of(MLPClassifier(scoring=f)) for f in (first, first, second)]
    assert described[0] == described[1] != described[2]
    assert not any(" at 0x" in text for text in described[0].values())


def test_threads_and_words_make_no_other_fit(half):
    model = MLPClassifier(**QUICK, n_jobs=2, diagnose=False)
    fit_quietly(model, X, y, checkpoint=half)
    assert (flat(model) == flat(fit_quietly(MLPClassifier(**QUICK), X, y))).all()


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda f: f.assign(b=f.b.where(f.b > 0, 0)), "the digest of column 'b' was"),
        (lambda f: f.rename(columns={"b": "B"}), "the name of column 2 was 'b' there"),
        (lambda f: f.iloc[1:], "the number of rows was 80 there, and is 79 here"),
    ],
)
def test_other_tables_are_refused_by_their_first_difference(path, change, difference):
    table = pd.DataFrame(X, columns=list("abc"))
    options = {**QUICK, "random_state": 0}
    killed(TabularClassifier(**options), path, 3, table, y)
    changed = change(table)
    with pytest.raises(InputError, match=difference):
        TabularClassifier(**options).fit(changed, y[: len(changed)], checkpoint=path)


def test_data_are_described_for_the_whole_fit_alone(path, monkeypatch):
    described = []
    monkeypatch.setattr("fastmlp.estimators.checkpoints.fingerprint", described.append)
    table = pd.DataFrame(X, columns=list("abc"))
    TabularClassifier(**QUICK, members=2).fit(table, y, checkpoint=path)
    assert not described


def test_two_fits_need_two_files(path):
    def other(epoch):
        with pytest.raises(InputError, match="another fit uses this checkpoint"):
            MLPClassifier(**QUICK).fit(X, y, checkpoint=path)

    fit_quietly(MLPClassifier(**QUICK), X, y, callback=other, checkpoint=path)


def test_the_file_of_another_process_is_not_overwritten(path, half):
    """It appears beside the fit, which says so and ends well."""
    other = half.read_bytes()
    half.unlink()
    told = []

    def callback(epoch):
        told.append(epoch)
        if len(told) == 3:
            path.unlink()
            path.write_bytes(other)

    model = MLPClassifier(**QUICK, diagnose=False, n_jobs=1, early_stopping=True)
    with pytest.warns(UserWarning, match="another fit writes it, too"):
        model.fit(X, y, callback=callback, checkpoint=Checkpoint(path, 0))
    assert path.read_bytes() == other


def test_searches_do_not_share_a_file(path):
    """Routing splits arguments by rows, and a file has none."""
    with config_context(enable_metadata_routing=True):
        for model in (MLPClassifier(), TabularClassifier()):
            with pytest.raises(TypeError, match="Unexpected args"):
                model.set_fit_request(checkpoint=True)
    search = GridSearchCV(MLPClassifier(**QUICK, diagnose=False), {"alpha": [0.1, 0.2]}, cv=2)
    killed(MLPClassifier(**QUICK), path, 3)
    with pytest.raises(ValueError, match="this checkpoint is of another fit"):
        search.set_params(error_score="raise").fit(X, y, checkpoint=path)


# ---- files -------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [-1, float("nan"), True])
def test_intervals_are_checked(path, every):
    with pytest.raises(ValueError, match="every must be"):
        Checkpoint(path, every)


def test_what_is_no_path_is_refused():
    with pytest.raises(TypeError, match="checkpoint must be the path of a file"):
        MLPClassifier(**QUICK).fit(X, y, checkpoint=3)


def test_paths_are_checked_before_training(tmp_path):
    def never(epoch):
        pytest.fail("an epoch was trained")

    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    model = fit_quietly(MLPClassifier(**QUICK), X, y)
    save_model(model, tmp_path / "m.fastmlp")
    for name, message in [
        ("", "this is a folder"),
        ("none/fit.ckpt", "there is no folder"),
        ("data.csv", "exists and is not a checkpoint"),
        ("m.fastmlp", "exists and is not a checkpoint"),
    ]:
        with pytest.raises(InputError, match=message):
            model.fit(X, y, callback=never, checkpoint=tmp_path / name)


def test_a_full_disk_leaves_the_former_file_and_the_fit_ends(half, monkeypatch):
    before = half.read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    model = MLPClassifier(**QUICK, diagnose=False)
    model.max_iter = 8
    with pytest.warns(UserWarning, match="could not be written: No space left"):
        fit_quietly(model, X, y, checkpoint=Checkpoint(half, 0, keep=True))
    assert model.n_iter_ == 8 and half.read_bytes() == before
    assert [p.name for p in half.parent.iterdir()] == [half.name]


def test_functions_as_parameters_leave_no_model(path):
    def score(estimator, X, y):
        return estimator.score(X, y)

    model = MLPClassifier(**QUICK, early_stopping=True, scoring=score)
    whole = fit_quietly(clone(model), X, y)
    killed(clone(model), path, 4)
    with pytest.raises(ModelFileError, match="has no model yet"):
        Checkpoint(path).model()
    assert (flat(fit_quietly(clone(model), X, y, checkpoint=path)) == flat(whole)).all()


# ---- models so far -----------------------------------------------------------------------


def test_the_model_so_far_is_that_of_the_best_epoch(path, tmp_path):
    shown = []

    class Watch:
        def __call__(self, epoch):
            shown.append((model.best_validation_score_, model.score(X, y)))
            if len(shown) == 6:
                raise KilledError

    model = MLPClassifier(**QUICK, early_stopping=True)
    with pytest.raises(KilledError):
        model.fit(X, y, callback=Watch(), checkpoint=Checkpoint(path, 0))
    found = Checkpoint(path).model()
    assert found.best_validation_score_ == shown[4][0]
    save_model(found, tmp_path / "m.fastmlp")
    assert (load_model(tmp_path / "m.fastmlp").predict(X) == found.predict(X)).all()
    state = read_checkpoint(path).states[0]
    assert (np.sort(flat(found)) == np.sort(state.best_theta)).all()


def test_a_pack_has_a_model_of_its_networks_so_far(path):
    table = pd.DataFrame(X, columns=list("abc"))
    options = {"members": 4, "hidden_layer_sizes": (4,), "max_iter": 8, "n_jobs": 1}
    killed(TabularClassifier(**options), path, 3, table, y)
    model = Checkpoint(path).model()
    assert 1 <= len(model.estimator_.members) <= 3
    assert model.predict_proba(table).shape == (80, 2)


def test_quantiles_of_a_model_so_far_have_their_offsets(path):
    table = pd.DataFrame(X, columns=list("abc"))
    options = {"loss": "quantile", "quantiles": (0.1, 0.9), "members": 3, "n_jobs": 1}
    options |= {"hidden_layer_sizes": (4,), "max_iter": 8}
    killed(TabularRegressor(**options), path, 3, table, X[:, 0])
    assert Checkpoint(path).model().quantile_offsets_.shape == (2,)


def test_several_targets_have_no_model_before_the_end(path):
    table = pd.DataFrame(X, columns=list("abc"))
    killed(TabularRegressor(**QUICK), path, 11, table, X[:, :2])
    with pytest.raises(ModelFileError, match="has no model yet"):
        Checkpoint(path).model()


# ---- signals -----------------------------------------------------------------------------

unix = pytest.mark.skipif(os.name == "nt", reason="signals of Unix")


@unix
def test_an_interrupt_waits_for_the_checkpoint(path):
    def callback(epoch):
        if epoch.epoch == 4:
            signal.raise_signal(signal.SIGINT)

    model = MLPClassifier(**QUICK)
    with pytest.warns(InterruptedTrainingWarning):
        model.fit(X, y, callback=callback, checkpoint=path)
    assert model.n_iter_ == 4 and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert read_checkpoint(path).progress["epochs"] == 4
    again = fit_quietly(MLPClassifier(**QUICK), X, y, checkpoint=path)
    assert (flat(again) == flat(fit_quietly(MLPClassifier(**QUICK), X, y))).all()


@unix
def test_a_second_signal_acts_at_once(path):
    def callback(epoch):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second one did not act")

    model = MLPClassifier(**QUICK)
    with pytest.warns(InterruptedTrainingWarning):
        model.fit(X, y, callback=callback, checkpoint=path)


@unix
def test_a_fit_in_another_thread_leaves_signals_alone(path):
    before = signal.getsignal(signal.SIGTERM)
    found = []

    def callback(epoch):
        found.append(signal.getsignal(signal.SIGTERM))

    model = MLPClassifier(**QUICK)
    work = {"target": fit_quietly, "args": (model, X, y)}
    options = {"callback": callback, "checkpoint": Checkpoint(path, 0)}
    thread = threading.Thread(**work, kwargs=options)
    thread.start()
    thread.join()
    assert set(found) == {before} and model.n_iter_ == 8


@unix
@pytest.mark.parametrize("of", ["network", "pack"])
def test_a_process_that_is_asked_to_end_leaves_a_checkpoint(path, of):
    code = f"""
import signal, warnings
import numpy as np
from fastmlp import MLPClassifier, TabularClassifier
warnings.simplefilter("ignore")
X = np.random.default_rng(0).normal(size=(80, 3))
options = dict(hidden_layer_sizes=(4,), max_iter=8, random_state=0)
def end(event):
    if getattr(event, "epoch", 4) == 4:
        signal.raise_signal(signal.SIGTERM)
model = MLPClassifier(**options) if {of!r} == "network" else TabularClassifier(members=4, **options)
model.fit(X, X[:, 0] > 0.2, callback=end, checkpoint={str(path)!r})
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == -signal.SIGTERM, result.stderr
    assert read_checkpoint(path).progress["epochs"] >= 4
    assert [p.name for p in Path(path).parent.iterdir()] == [path.name]
