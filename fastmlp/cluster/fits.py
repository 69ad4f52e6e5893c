"""Which fit it is: a model of a table on a frame, or a network on arrays."""

from typing import Any

from ..estimators.base import BaseMLP
from ..exceptions import InputError
from ..streaming.statistics import Told
from ..tabular.base import BaseTabular
from ..training.checkpoint import CheckpointPath
from ..training.keeping import kept
from .arrays import fit_arrays
from .clients import usable_client
from .tables import fit_table


def fit_on_cluster(
    estimator: Any,
    X: Any,
    y: Any,
    target: Any,
    client: Any,
    told: Told | None,
    checkpoint: CheckpointPath,
) -> Any:
    """Train a model on data of Dask; see :func:`fastmlp.dask.fit`."""
    from dask import array, dataframe

    if isinstance(estimator, BaseTabular):
        if y is not None or not isinstance(X, dataframe.DataFrame):
            raise InputError(
                "a model of a table is trained on a dask.dataframe.DataFrame, in which `target` "
                "names a column"
            )
        with kept(checkpoint) as place:
            return fit_table(usable_client(client), estimator, X, target, told, place)
    if not isinstance(estimator, BaseMLP):
        raise InputError(
            f"{type(estimator).__name__} is no estimator that a cluster trains; it must be a "
            "TabularClassifier, a TabularRegressor, an MLPClassifier or an MLPRegressor"
        )
    if target is not None or not all(isinstance(one, array.Array) for one in (X, y)):
        raise InputError("a network is trained on dask arrays X and y")
    with kept(checkpoint) as place:
        return fit_arrays(usable_client(client), estimator, X, y, told, place)
