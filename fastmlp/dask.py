"""Training and predicting on a cluster of Dask: ``import fastmlp.dask``.

A network visits the shards of a table one after the other, and several networks do so at once. The
model has the same bits whatever the number of workers, threads and partitions, and where a worker
is lost. Needs ``pip install 'fastmlp[dask]'``.
"""

from collections.abc import Callable
from typing import Any

from .cluster.clients import distributed
from .training.checkpoint import CheckpointPath

__all__ = ["fit", "predict", "predict_proba"]


def fit(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    target: Any = None,
    client: Any = None,
    told: Callable[[str, float], None] | None = None,
    checkpoint: CheckpointPath = None,
) -> Any:
    """Train a model on data that lie on a cluster.

    Rows are dealt to shards by a hash of their numbers, and the shards stay in the memory of the
    workers. In each epoch a network visits all shards in a random order, as with
    :func:`fastmlp.train_files`. Several networks visit them at once, and their mean predicts.

    Parameters
    ----------
    estimator : TabularClassifier, TabularRegressor, MLPClassifier or MLPRegressor
        It stays as it is. For a table, `members` is the number of networks; 'auto' is 8, or one
        where a parameter of a network is set.
    X : dask.dataframe.DataFrame or dask.array.Array of shape (n_rows, n_features)
        A frame with the target among its columns, or an array for a network.
    y : dask.array.Array of shape (n_rows,), optional
        The target of a network.
    target : hashable, optional
        The name of the target column of a frame; by default the last one.
    client : distributed.Client, optional
        By default the one that was made last.
    told : callable, optional
        ``told(what, share)`` is called as rows are read, and after each visit.
    checkpoint : str, Path or Checkpoint, optional
        File, on the machine of the client, in which the state of training is kept, so that the
        same call goes on with it where the client or the cluster is lost, to the same bits; see
        :class:`fastmlp.Checkpoint`. It has each network at the end of an epoch.

    Returns
    -------
    estimator
        A fitted copy, which needs no cluster.

    Raises
    ------
    ClusterError
        When there is no such cluster, when its workers have other versions of packages, and when
        it is lost.
    DataError
        When the data cannot be learned from.
    InputError
        When a parameter cannot be used on a cluster, and when the checkpoint is of another
        training.
    ImportError
        When Dask is not installed.

    Warns
    -----
    UserWarning
        When a table gets a single network, which several workers train no faster.
    """
    distributed()
    from .cluster.fits import fit_on_cluster

    return fit_on_cluster(estimator, X, y, target, client, told, checkpoint)


def predict(model: Any, X: Any) -> Any:
    """Predict data of Dask, lazily.

    Parameters
    ----------
    model : estimator
        Any fitted model of this package.
    X : dask.dataframe.DataFrame or dask.array.Array

    Returns
    -------
    dask.dataframe.Series or dask.array.Array
        What ``model.predict`` gives for each partition. Several targets or quantiles are a frame.

    Raises
    ------
    DataError
        When columns are missing.
    """
    from .cluster.prediction import predict_lazily

    return predict_lazily(model, X, "predict")


def predict_proba(model: Any, X: Any) -> Any:
    """Predict the probability of each class for data of Dask, lazily.

    Parameters
    ----------
    model : classifier
        Any fitted classifier of this package.
    X : dask.dataframe.DataFrame or dask.array.Array

    Returns
    -------
    dask.dataframe.DataFrame or dask.array.Array
        The columns are the classes.

    Raises
    ------
    DataError
        When columns are missing.
    InputError
        When the model is no classifier.
    """
    from .cluster.prediction import predict_lazily

    return predict_lazily(model, X, "predict_proba")
