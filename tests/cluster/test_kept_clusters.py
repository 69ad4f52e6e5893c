"""Training whose cluster is lost goes on from its checkpoint, on another one or on one machine."""

import os
import shutil
import signal

import numpy as np
import pytest

from fastmlp import (
    Checkpoint,
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularRegressor,
    train_files,
)
from fastmlp.exceptions import ClusterError, InputError
from fastmlp.export.checkpoint_file import read_checkpoint
from fastmlp.tabular.pack.members import networks_of

distributed = pytest.importorskip("distributed")
dd = pytest.importorskip("dask.dataframe")
da = pytest.importorskip("dask.array")

import fastmlp.dask  # noqa: E402

QUICK = {"hidden_layer_sizes": (8,), "max_iter": 5, "members": 2}


def frame_of(table, *cuts):
    parts = [table.iloc[i:j] for i, j in zip([0, *cuts], [*cuts, len(table)], strict=True)]
    return dd.from_map(lambda part: part, parts, meta=table.iloc[:0])


def bits(model):
    networks = networks_of(getattr(model, "estimator_", model))
    return [w.tobytes() for network in networks for w in (*network.coefs_, *network.intercepts_)]


def at_epoch(number, act):
    """Whoever is told acts once, when all networks are in this epoch."""
    calls = []

    def told(what, share):
        if what == f"epoch {number}" and not calls:
            calls.append(what)
            act()

    return told


class LostError(Exception):
    pass


def lose():
    raise LostError


def test_a_lost_scheduler_loses_no_more_than_an_epoch(client, table, tmp_path):
    """A cluster ends in the middle; another one, of processes, and a stream, go on to the end."""
    table.to_parquet(tmp_path / "t.parquet")
    path, estimator = tmp_path / "run.ckpt", TabularRegressor(**QUICK)
    whole = bits(train_files(tmp_path / "t.parquet", test_size=0, **QUICK))
    before = dict(os.environ)
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://",
        dashboard_address=":0",
    )  # fmt: skip
    # So long it looks for a scheduler that is lost, which is 30 seconds otherwise.
    lost = distributed.Client(cluster, set_as_default=False, timeout="2s")
    try:
        with pytest.raises(ClusterError) as caught:
            fastmlp.dask.fit(
                estimator, frame_of(table, 900), target="y", client=lost, checkpoint=path,
                told=at_epoch(3, cluster.close),
            )  # fmt: skip
    finally:
        lost.close()
        cluster.close()
        os.environ.clear()
        os.environ.update(before)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(f"; the same call goes on with {path}")
    assert 2 <= len(read_checkpoint(path).states[0].numbers) < 5
    assert len(Checkpoint(path).model().estimator_.members) == 2
    shutil.copy(path, tmp_path / "copy.ckpt")
    told = []
    model = fastmlp.dask.fit(
        estimator, frame_of(table, 100, 100, 2000), target="y", client=client, checkpoint=path,
        told=lambda what, share: told.append(what),
    )  # fmt: skip
    assert bits(model) == whole and not path.exists() and "epoch 1" not in told
    streamed = train_files(
        tmp_path / "t.parquet", test_size=0, checkpoint=tmp_path / "copy.ckpt", **QUICK
    )
    assert bits(streamed) == whole


@pytest.mark.parametrize("members", [1, 2])
def test_the_checkpoint_of_a_stream_goes_on_on_a_cluster(threads, table, tmp_path, members):
    """From the middle of an epoch, and of a bag of which one network has not begun."""
    labels = table.assign(y=np.where(table["y"] > 1, "high", "low"))
    labels.to_csv(tmp_path / "t.csv", index=False)
    path, options = tmp_path / "run.ckpt", {**QUICK, "members": members}
    source = {"path": tmp_path / "t.csv", "test_size": 0, "text": "day"}
    whole = train_files(**source, **options)
    with pytest.raises(LostError):
        train_files(**source, told=at_epoch(2, lose), checkpoint=path, **options)
    assert read_checkpoint(path).states[0].n_visits == 1
    model = fastmlp.dask.fit(
        TabularClassifier(**options), frame_of(labels.assign(day=labels["day"].astype(str)), 700),
        client=threads, checkpoint=path,
    )  # fmt: skip
    assert bits(model) == bits(whole)


@pytest.mark.parametrize("validates", [False, True])
def test_a_stream_that_ended_after_the_last_visit_of_an_epoch_goes_on_on_a_cluster(
    threads, table, tmp_path, validates
):
    rows, path = table[["size", "kind", "count", "y"]], tmp_path / "run.ckpt"
    rows.to_csv(tmp_path / "t.csv", index=False)
    options = {**QUICK, "early_stopping": validates}
    whole = train_files(tmp_path / "t.csv", test_size=0, **options)

    def lose_at_the_end(what, share):
        if (what, share) == ("epoch 2", 1.0):
            lose()

    with pytest.raises(LostError):
        train_files(
            tmp_path / "t.csv", test_size=0, told=lose_at_the_end, checkpoint=path, **options
        )
    assert read_checkpoint(path).states[0].n_visits == 2
    model = fastmlp.dask.fit(
        TabularRegressor(**options), dd.from_pandas(rows, npartitions=40), client=threads,
        checkpoint=path,
    )  # fmt: skip
    assert bits(model) == bits(whole) and model.n_iter_ == whole.n_iter_


def test_workers_that_die_of_a_visit_leave_a_checkpoint(client, table, tmp_path):
    scheduler = client.cluster.scheduler
    allowed, scheduler.allowed_failures = scheduler.allowed_failures, 0
    pids, path = client.run(os.getpid), tmp_path / "run.ckpt"

    def kill():
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)

    try:
        with pytest.raises(ClusterError, match=r"died of the same task.*; the same call goes on"):
            fastmlp.dask.fit(
                TabularRegressor(**QUICK), frame_of(table), client=client, checkpoint=path,
                told=at_epoch(3, kill),
            )  # fmt: skip
    finally:
        scheduler.allowed_failures = allowed
    client.wait_for_workers(2)
    assert read_checkpoint(path).progress["epochs"] >= 2


def test_an_interrupt_keeps_the_epochs_and_goes_on(threads, table, tmp_path):
    path, estimator = tmp_path / "run.ckpt", TabularRegressor(**QUICK)
    told = at_epoch(3, lambda: signal.raise_signal(signal.SIGINT))
    model = fastmlp.dask.fit(estimator, frame_of(table), client=threads, told=told, checkpoint=path)
    assert model.n_iter_ == read_checkpoint(path).progress["epochs"] >= 4
    again = fastmlp.dask.fit(estimator, frame_of(table), client=threads, checkpoint=path)
    whole = fastmlp.dask.fit(estimator, frame_of(table), client=threads)
    assert bits(again) == bits(whole) and not path.exists()


def test_in_the_first_epoch_there_is_nothing_to_keep(threads, table, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fastmlp.dask.fit(
            TabularRegressor(**QUICK), frame_of(table), client=threads,
            told=at_epoch(1, lambda: signal.raise_signal(signal.SIGINT)),
            checkpoint=tmp_path / "run.ckpt",
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("is_class", [False, True])
def test_arrays(threads, tmp_path, is_class):
    """Without a seed, which is then that of the checkpoint."""
    rng, path = np.random.default_rng(0), tmp_path / "run.ckpt"
    X = rng.normal(size=(3000, 3)).astype(np.float32)
    y = np.where(X[:, 0] > 0, "yes", "no") if is_class else X[:, 0] * X[:, 1]
    kind = MLPClassifier if is_class else MLPRegressor
    network = kind(
        hidden_layer_sizes=(6,), max_iter=6, early_stopping=True, solver="sgd",
        learning_rate="adaptive",
    )  # fmt: skip

    def fit(X, y, chunks, network=network, **options):
        data = da.from_array(X, chunks=(chunks, 3)), da.from_array(y, chunks=chunks)
        return fastmlp.dask.fit(network, *data, client=threads, checkpoint=path, **options)

    with pytest.raises(LostError):
        fit(X, y, 1000, told=at_epoch(3, lose))
    kept = read_checkpoint(path)
    assert len(kept.states[0].numbers) == 2
    so_far = Checkpoint(path).model()
    assert so_far.get_params() == network.get_params() and so_far.predict(X).shape == y.shape
    for changed, difference in (
        ((np.where(X[7, 1] == X, 0, X).astype(np.float32), y), "the digest of X was"),
        ((X, y[::-1].copy()), "the digest of y was"),
        ((X[1:], y[1:]), r"the shape of X was \(3000, 3\) there"),
        ((X.astype(np.float64), y), "the type of X was float32 there"),
    ):
        with pytest.raises(InputError, match=difference):
            fit(*changed, 1000)
    model = fit(X, y, 700)
    seed = int(kept.fingerprint["`random_state`"])
    whole = fit(X, y, 3000, kind(**{**network.get_params(), "random_state": seed}))
    assert bits(model) == bits(whole) and model.loss_curve_ == whole.loss_curve_
    assert model.validation_scores_ == whole.validation_scores_


def test_other_trainings_are_refused(threads, table, tmp_path):
    path, told = tmp_path / "run.ckpt", at_epoch(3, lose)
    with pytest.raises(LostError):
        fastmlp.dask.fit(
            TabularRegressor(**QUICK), frame_of(table), client=threads, told=told, checkpoint=path
        )
    before = path.read_bytes()
    for options, rows, difference in (
        ({"dropout": 0.1}, table, "`dropout` was 'auto' there, and is 0.1 here"),
        ({"members": 3}, table, "`members` was 2 there, and is 3 here"),
        ({}, table.assign(count=table["count"] + 1), "the digest of column 'count' was"),
        ({}, table.iloc[::-1], "the digest of column 'size' was"),
    ):
        with pytest.raises(InputError, match=difference):
            fastmlp.dask.fit(
                TabularRegressor(**{**QUICK, **options}), frame_of(rows), client=threads,
                checkpoint=path,
            )  # fmt: skip
    assert path.read_bytes() == before
