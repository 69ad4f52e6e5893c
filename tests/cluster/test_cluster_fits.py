"""Models that a cluster trains: the same bits however it is made, and as on one machine."""

import os
import signal

import joblib
import numpy as np
import pandas as pd
import pytest
from helpers import fit_quietly
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from fastmlp import (
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularRegressor,
    load_model,
    save_model,
    train_files,
)

pytest.importorskip("distributed")
dd = pytest.importorskip("dask.dataframe")
da = pytest.importorskip("dask.array")

import fastmlp.dask  # noqa: E402
from fastmlp.engines.cpu.task_share import task_share  # noqa: E402

QUICK = {"hidden_layer_sizes": (8,), "max_iter": 3, "members": 2}


def bits(model):
    """All that a model predicts by."""
    networks = getattr(model, "estimator_", model)
    networks = [m.network for m in getattr(networks, "members", ())] or [networks]
    arrays = [w for n in networks for w in (*n.coefs_, *n.intercepts_)]
    if hasattr(model, "preprocessor_"):
        prepared = model.preprocessor_
        arrays += [prepared.centres_, prepared.scales_, np.array(prepared.levels_).ravel()]
    return [array.tobytes() for array in arrays]


def as_classes(table):
    return table.assign(y=np.array(["low", "mid", "top"])[np.clip(table["y"], 0, 2).astype(int)])


def partitioned(table, cuts):
    """A frame of Dask whose partitions end at some rows; two equal ones are a partition of none."""
    parts = [table.iloc[i:j] for i, j in zip([0, *cuts], [*cuts, len(table)], strict=True)]
    return dd.from_map(lambda part: part, parts, meta=table.iloc[:0])


@pytest.mark.parametrize("is_class", [False, True])
def test_partitions_workers_and_threads_do_not_change_the_model(
    client, threads, table, tmp_path, is_class
):
    table = as_classes(table) if is_class else table
    table.to_parquet(tmp_path / "t.parquet")
    alone = train_files(tmp_path / "t.parquet", test_size=0, **QUICK)
    estimator = (TabularClassifier if is_class else TabularRegressor)(**QUICK)
    for cluster, cuts in (
        (client, [100, 100, 1700, 1800]),
        (client, []),
        (threads, list(range(200, 2500, 200))),
    ):
        model = fastmlp.dask.fit(estimator, partitioned(table, cuts), target="y", client=cluster)
        assert bits(model) == bits(alone)
        assert not hasattr(estimator, "estimator_")
    save_model(model, tmp_path / "m.fastmlp")
    again = load_model(tmp_path / "m.fastmlp")
    assert np.array_equal(again.predict(table), alone.predict(table))
    assert not hasattr(model, "report_")
    other = fastmlp.dask.fit(
        clone(estimator).set_params(random_state=1), partitioned(table, [9]), client=client
    )
    assert bits(other) != bits(model)


@pytest.mark.parametrize("is_class", [False, True])
def test_arrays(client, threads, is_class):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 5)).astype(np.float32)
    numbers = X[:, 0] + X[:, 1] * X[:, 2]
    y = np.where(numbers > 0, "yes", "no") if is_class else numbers.astype(np.float64)
    kind = MLPClassifier if is_class else MLPRegressor
    network = kind(
        hidden_layer_sizes=(8,), max_iter=20, random_state=0, early_stopping=True,
        learning_rate_init=0.02,
    )  # fmt: skip
    found = [
        fastmlp.dask.fit(
            network, da.from_array(X, chunks=X_chunks), da.from_array(y, chunks=y_chunks), client=c
        )
        for X_chunks, y_chunks, c in (
            ((1000, 5), 1000, client), ((700, 2), 300, client), ((3000, 5), 3000, threads),
        )
    ]  # fmt: skip
    assert bits(found[0]) == bits(found[1]) == bits(found[2])
    model = found[0]
    assert model.get_params() == network.get_params() and model.score(X, y) > 0.85
    assert len(model.validation_scores_) == model.n_iter_ and model.coefs_[0].dtype == np.float32
    assert model.n_features_in_ == 5
    lazy = fastmlp.dask.predict(model, da.from_array(X, chunks=(900, 3)))
    assert lazy.shape == (3000,) and np.array_equal(lazy.compute(), model.predict(X))
    if is_class:
        lazy = fastmlp.dask.predict_proba(model, da.from_array(X, chunks=(900, 3)))
        assert lazy.shape == (3000, 2)
        assert np.array_equal(lazy.compute(), model.predict_proba(X))
        assert model.classes_.tolist() == ["no", "yes"]


def test_float64_stays_float64(client):
    X = da.from_array(np.random.default_rng(0).normal(size=(500, 3)), chunks=(100, 3))
    network = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0)
    model = fastmlp.dask.fit(network, X, X[:, 0], client=client)
    assert model.coefs_[0].dtype == np.float64


def test_a_network_predicts_blocks_and_partitions_without_rows(threads):
    rows = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    y = np.where(rows[:, 0] > 0, "yes", "no")
    model = fit_quietly(MLPClassifier((4,), max_iter=2, random_state=0), rows, y)
    empty = da.from_array(rows[:0], chunks=(1, 2))
    blocks = da.concatenate([empty, da.from_array(rows, chunks=(20, 2))])
    parts = partitioned(pd.DataFrame(rows), [20, 20])
    for name in ("predict", "predict_proba"):
        expected = getattr(model, name)(rows)
        for lazy in (getattr(fastmlp.dask, name)(model, data) for data in (blocks, parts)):
            found = threads.compute(lazy).result()
            assert np.array_equal(np.asarray(found), expected)
    assert found.columns.tolist() == ["no", "yes"]


def test_what_cannot_be_predicted_lazily(threads, table):
    network = fit_quietly(MLPRegressor(hidden_layer_sizes=(4,), max_iter=2), np.eye(3), np.ones(3))
    with pytest.raises(ValueError, match="for a DataFrame call the method of the model"):
        fastmlp.dask.predict(network, table)
    with pytest.raises(ValueError, match="must have two dimensions"):
        fastmlp.dask.predict(network, da.zeros(3))
    for model, data in (network, da.eye(3)), (TabularRegressor(), partitioned(table, [])):
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            fastmlp.dask.predict(clone(model), data)


def test_arrays_of_other_types(threads):
    rows = np.random.default_rng(0).integers(0, 9, (300, 3))
    y, network = rows[:, 0] * 0.5, MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0)
    found = [
        fastmlp.dask.fit(
            network, da.from_array(rows.astype(dtype), chunks=(100, 3)),
            da.from_array(y.astype(of_y), chunks=100)[:, None], client=threads,
        )
        for dtype, of_y in (
            (float, float), (np.int8, object), (object, np.float16), (np.float16, float)
        )
    ]  # fmt: skip
    assert all(bits(model) == bits(found[0]) for model in found)


def test_predictions_of_a_table_are_lazy(client, table):
    table = as_classes(table).set_index(np.arange(len(table)) * 2)
    model = fit_quietly(TabularClassifier(**QUICK), table.drop(columns="y"), table["y"])
    parts = partitioned(table.drop(columns="y"), [10, 10, 900])
    lazy = fastmlp.dask.predict(model, parts)
    assert isinstance(lazy, dd.Series) and lazy.name == "y"
    expected = pd.Series(model.predict(table), index=table.index, name="y")
    pd.testing.assert_series_equal(client.compute(lazy).result(), expected, check_dtype=False)
    lazy = fastmlp.dask.predict_proba(model, parts)
    assert list(lazy.columns) == ["low", "mid", "top"]
    shown = client.compute(lazy).result()
    assert np.array_equal(shown.to_numpy(), model.predict_proba(table))
    with pytest.raises(ValueError, match="missing columns: 'kind'"):
        fastmlp.dask.predict(model, parts.drop(columns="kind"))
    with pytest.raises(ValueError, match="predicts no probabilities; use predict"):
        fastmlp.dask.predict_proba(TabularRegressor(), parts)


def test_a_worker_that_is_killed_changes_nothing(client, table):
    estimator = TabularRegressor(**QUICK)
    whole = fastmlp.dask.fit(estimator, partitioned(table, [1000]), client=client)
    pids, killed = client.run(os.getpid), []

    def told(what, share):
        if what == "epoch 2" and not killed:
            killed.append(max(pids.values()))
            os.kill(killed[0], signal.SIGKILL)

    model = fastmlp.dask.fit(estimator, partitioned(table, [1000]), client=client, told=told)
    assert killed and bits(model) == bits(whole)
    client.wait_for_workers(2)


def test_how_many_networks_there_are(threads, table):
    small = partitioned(table.head(300), [100])
    told = []
    model = fastmlp.dask.fit(TabularRegressor(max_iter=1), small, client=threads)
    assert not hasattr(model.estimator_, "members")
    model = fastmlp.dask.fit(
        TabularRegressor(), partitioned(table.head(60), [30]), client=threads,
        told=lambda *shown: told.append(shown),
    )  # fmt: skip
    assert len(model.estimator_.members) == 8
    assert [share for what, share in told if what == "epoch 1"][-1] == 1
    assert {what for what, _ in told} >= {"reading", "writing shards", "epoch 1", "epoch 2"}
    assert all(0 < share <= 1 for _, share in told)


def test_a_single_network_is_no_faster_on_several_workers(client, table):
    small = partitioned(table.head(300), [100])
    with pytest.warns(UserWarning, match="a single network visits one shard after the other"):
        fastmlp.dask.fit(TabularRegressor(max_iter=1), small, client=client)


def test_a_task_has_the_threads_of_its_share(client, threads, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # as a process has it that starts workers
    for cluster, expected in ((client, 1), (threads, 64 // 3)):
        assert cluster.submit(task_share, 64, pure=False).result() == expected


def test_a_grid_search_on_the_cluster_has_the_scores_of_one_here(client):
    X, y = make_classification(200, 5, random_state=0)
    network = MLPClassifier((4,), max_iter=3, random_state=0)
    scores = []
    for backend in ("dask", "loky"):
        search = GridSearchCV(network, {"alpha": [0.001, 1.0]}, cv=2, n_jobs=2)
        with client.as_current(), joblib.parallel_config(backend):
            scores.append(fit_quietly(search, X, y).cv_results_["mean_test_score"].tolist())
    assert scores[0] == scores[1]
