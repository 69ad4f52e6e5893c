"""What a cluster refuses, and what is said when something of it fails: one line each."""

import os
import signal

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LinearRegression

from fastmlp import MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor
from fastmlp.exceptions import ClusterError, DataError, InputError

distributed = pytest.importorskip("distributed")
dd = pytest.importorskip("dask.dataframe")
da = pytest.importorskip("dask.array")

import fastmlp.dask  # noqa: E402
from fastmlp.cluster import tasks  # noqa: E402
from fastmlp.cluster.ring import Ring  # noqa: E402

GAPS = [(np.nan, np.float64), (pd.NA, object), (pd.NA, "Int64")]
QUICK = {"hidden_layer_sizes": (8,), "max_iter": 3, "members": 2}


def frame_of(*parts):
    return dd.from_map(lambda part: part, parts, meta=parts[0].iloc[:0])


def fails(error, client, *parts, estimator=None, **options):
    estimator = estimator or TabularRegressor(**QUICK)
    with pytest.raises(error) as caught:
        fastmlp.dask.fit(estimator, frame_of(*parts), client=client, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_tables_that_cannot_be_learned_from(threads, table):
    first, second = table.iloc[:1000], table.iloc[1000:]
    lacks = second.drop(columns="kind")
    assert "no column 'kind' in part 2 of the table" in fails(DataError, threads, first, lacks)
    more = second.assign(more=1)
    assert "part 2 of the table has the column 'more'" in fails(DataError, threads, first, more)
    holes = second.assign(y=second["y"].where(second.index != 1500))
    assert "'y' is missing in row 1501" in fails(DataError, threads, first, holes)
    texts = second.assign(size="big")
    message = fails(DataError, threads, first, texts)
    assert "'size' has numbers in some partitions and text or dates in others" in message
    truths = second.assign(count=second["count"] > 3)
    message = fails(DataError, threads, first, truths)
    assert "'count' has numbers in some partitions and truth values in others" in message
    twice = pd.concat([second, second[["kind"]]], axis=1)
    assert "'kind' is there more than once" in fails(DataError, threads, first, twice)
    assert "a partition is a Series" in fails(DataError, threads, first, second["y"], target="y")
    for target in (["y", "size"], {"y": 1}):
        assert "one target; name a column" in fails(DataError, threads, first, target=target)
    assert "no target column 'z'" in fails(DataError, threads, first, second, target="z")
    assert "too few rows" in fails(DataError, threads, first.iloc[:0], first.iloc[:1])
    alike = first.assign(y=1.0)
    assert "there is nothing to learn" in fails(DataError, threads, alike, alike)
    # A fault that only a task finds keeps its class and its words.
    late = second.assign(y=second["y"].where(second.index != 2000, np.inf))
    assert "infinite" in fails(DataError, threads, first, late)


def test_columns_may_come_in_another_order(threads, table):
    first, second = table.iloc[:1000], table.iloc[1000:]
    models = [
        fastmlp.dask.fit(TabularRegressor(**QUICK), frame_of(first, other), client=threads)
        for other in (second, second[list(second.columns[::-1])])
    ]
    weights = [model.estimator_.members[0].network.coefs_[0].tobytes() for model in models]
    assert weights[0] == weights[1]


def test_a_column_of_numbers_that_is_missing_in_one_partition(threads, table):
    first, second = table.iloc[:1000], table.iloc[1000:]
    gaps = [second.assign(count=gap).astype({"count": dtype}) for gap, dtype in GAPS]
    models = [
        fastmlp.dask.fit(TabularRegressor(**QUICK), frame_of(first, gap), client=threads)
        for gap in gaps
    ]
    weights = [model.estimator_.members[0].network.coefs_[0].tobytes() for model in models]
    assert len(set(weights)) == 1


def test_a_class_that_one_partition_alone_has(threads, table):
    labels = ["rare"] * 20 + ["ab"[i % 2] for i in range(len(table) - 20)]
    parts = [table.assign(y=labels).iloc[:20], table.assign(y=labels).iloc[20:]]
    model = fastmlp.dask.fit(TabularClassifier(**QUICK), frame_of(*parts), client=threads)
    assert model.classes_.tolist() == ["a", "b", "rare"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "lbfgs"}, "solver='lbfgs' needs the table in memory"),
        ({"time_limit": 1.0}, "`time_limit` cannot be used on a cluster"),
        ({"effort": "high"}, "`effort` cannot be used here"),
        ({"random_state": np.random.RandomState(0)}, "random_state must be a number on a cluster"),
        ({"dropout": 2}, "dropout"),
    ],
)
def test_parameters_of_tables(threads, table, parameters, message):
    estimator = TabularRegressor(**parameters)
    assert message in fails(InputError, threads, table, estimator=estimator)


def test_arrays_that_cannot_be_learned_from(threads):
    X, y = da.ones((100, 2), chunks=(50, 2)), da.arange(100, chunks=50) % 2

    def fails(network, *arrays):
        with pytest.raises(InputError) as caught:
            fastmlp.dask.fit(network, *arrays, client=threads)
        return str(caught.value)

    network = MLPClassifier((4,), max_iter=1)
    assert "X has 100 rows and y has 99" in fails(network, X, y[:99])
    assert "y one; a network of several targets" in fails(network, X, X)
    assert "single class, 0" in fails(network, X, y * 0)
    assert "missing or infinite; fill them" in fails(network, X * np.nan, y)
    assert "solver='lbfgs' needs all rows" in fails(MLPClassifier(solver="lbfgs"), X, y)
    assert "`warm_start` cannot be used on a cluster" in fails(MLPRegressor(warm_start=True), X, y)
    unknown = X[X[:, 0] > 0]
    assert "unknown and different sizes" in fails(network, unknown, y)
    assert "trained on dask arrays" in fails(network, X, np.zeros(100))
    assert "X has no columns" in fails(network, X[:, :0], y)
    assert "X has complex numbers" in fails(network, X + 1j, y)
    assert "X has masked values" in fails(network, da.ma.masked_equal(X, 1), y)
    text = X.astype(object).map_blocks(lambda block: np.full(block.shape, "big", object))
    assert "X has values that are no numbers" in fails(network, text, y)
    assert "blocks of type csr_matrix" in fails(network, X.map_blocks(csr_matrix), y)
    assert "y has fractions, which are no class labels" in fails(network, X, y + 0.5)
    gaps = y.astype(object).map_blocks(lambda block: np.where(block, "yes", None))
    assert "y has labels that are missing" in fails(network, X, gaps)
    assert "y has labels that are missing" in fails(network, X, y * np.nan)
    words = y.astype(object).map_blocks(lambda block: np.full(len(block), "yes", object))
    mixed = da.concatenate([y[:50].astype(object), words[50:]])
    assert "y has labels of the types int and str" in fails(network, X, mixed)
    assert "y has values that are no numbers" in fails(MLPRegressor(), X, mixed)
    assert "LinearRegression is no estimator" in fails(LinearRegression(), X, y)
    table = TabularRegressor()
    assert "trained on a dask.dataframe.DataFrame" in fails(table, X, y)


def test_clients_that_cannot_be_used(table):
    def fails(client):
        with pytest.raises(ClusterError) as caught:
            fastmlp.dask.fit(TabularRegressor(), frame_of(table), client=client)
        return str(caught.value)

    assert "must be a distributed.Client, not a str" in fails("tcp://a:1")
    assert "there is no cluster; make one with" in fails(None)
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster:
        client = distributed.Client(cluster, set_as_default=False)
        assert "has no workers; start some" in fails(client)
        client.close()
        assert "the client is closed" in fails(client)


def test_versions_have_to_be_the_same(threads, table, monkeypatch):
    ours = tasks.versions()
    found = {"tcp://v:1": OSError("lost"), "tcp://w:1": ours}
    monkeypatch.setattr(tasks, "versions", lambda: {**ours, "numpy": "1.0"})
    monkeypatch.setattr(threads, "run", lambda function, on_error: found)
    message = fails(ClusterError, threads, table)
    assert f"the worker tcp://w:1 has numpy {ours['numpy']}, and the process that tr" in message
    assert "that trains has 1.0; install the same version on both" in message

    found["tcp://w:1"] = ModuleNotFoundError("No module named 'fastmlp'")
    message = fails(ClusterError, threads, table)
    assert f"install fastmlp=={fastmlp.__version__} on all workers" in message


def _has(version):
    """Let a worker have another version of fastmlp, or its own for None."""
    tasks.versions.cache_clear()
    found = tasks.versions()
    if version:
        found["fastmlp"] = version


@pytest.mark.parametrize("when", ["reading", "epoch 1"])
def test_a_worker_that_joins_later_has_to_have_the_same_versions(client, table, when):
    """Its versions change in the middle, since it would take seconds to start one."""
    late = max(client.nthreads())

    def told(done, share):
        if done == when:
            client.run(_has, "0.0", workers=[late])

    many = [table.iloc[i : i + 20] for i in range(0, 1000, 20)]
    try:
        message = fails(ClusterError, client, *many, told=told)
    finally:
        client.run(_has, None, workers=[late])
    assert message.startswith(f"the worker {late} has fastmlp 0.0, and the process that trains has")


def _die(part):
    os.kill(os.getpid(), signal.SIGKILL)


def test_workers_that_die_of_a_task(client, table):
    scheduler = client.cluster.scheduler
    allowed, scheduler.allowed_failures = scheduler.allowed_failures, 0
    try:
        deadly = frame_of(table).map_partitions(_die, meta=table.iloc[:0])
        with pytest.raises(ClusterError, match="most likely for lack of memory"):
            fastmlp.dask.fit(TabularRegressor(**QUICK), deadly, client=client)
    finally:
        scheduler.allowed_failures = allowed
    client.wait_for_workers(2)


@pytest.mark.parametrize("what", ["client", "scheduler"])
def test_a_cluster_that_is_lost_in_the_middle(table, what):
    cluster = distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0")
    client = distributed.Client(cluster, set_as_default=False)

    def told(done, share):
        if done == "epoch 2":
            (client if what == "client" else cluster).close()

    message = fails(ClusterError, client, table, told=told)
    assert "client was closed" in message or ("scheduler" in message and "was lost" in message)
    client.close()
    cluster.close()


def test_ctrl_c_keeps_what_was_learned(threads, table):
    def told(done, share):
        if done == "epoch 3":
            raise KeyboardInterrupt

    estimator = TabularRegressor(hidden_layer_sizes=(8,), members=2)
    model = fastmlp.dask.fit(estimator, frame_of(table), client=threads, told=told)
    assert len(model.estimator_.members) == 2 and 4 <= model.n_iter_ <= 8
    model.predict(table)


def test_ctrl_c_in_the_first_epoch_keeps_nothing(threads, table):
    def told(done, share):
        if done == "epoch 1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastmlp.dask.fit(TabularRegressor(**QUICK), frame_of(table), client=threads, told=told)


def test_ctrl_c_keeps_the_only_network_that_has_had_an_epoch(threads, table, monkeypatch):
    def train(self):
        del self._travellers[0]  # as if it had been interrupted in its first epoch
        return whole(self)[0], True

    whole = Ring.train
    monkeypatch.setattr(Ring, "train", train)
    model = fastmlp.dask.fit(TabularRegressor(**QUICK), frame_of(table), client=threads)
    assert model.n_iter_ == 3 == model.estimator_.n_iter_
    model.predict(table)
