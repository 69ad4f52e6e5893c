"""Arrays on a cluster: the networks of scikit-learn's contract on blocks of X and y."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier

from ..estimators.parameters import invalid_parameter
from ..exceptions import DataError, InputError
from ..streaming import training
from ..streaming.digests import of_arrays
from ..streaming.keeping import KeptCourses, told_of_file
from ..streaming.shards import Deal, number_of_shards
from ..streaming.statistics import Told
from ..training.keeping import Place
from . import tasks
from .clients import errors_of, results_of, send
from .dealt import Dealt
from .ring import Ring
from .tables import ON_CLUSTER, seed_of

_MOST_VALIDATION = 200_000
_NOT_HERE = {
    "warm_start": "training begins anew",
    "class_weight": "classes are not weighed",
    "swa_start": "weights are not averaged",
    "monitor": "the gradient is not measured",
}


def fit_arrays(
    client: Any, estimator: Any, X: Any, y: Any, told: Told | None, place: Place | None
) -> Any:
    """Train a network on arrays of a cluster; see :func:`fastmlp.dask.fit`."""
    network, is_class = clone(estimator), is_classifier(estimator)
    _check(network)
    seed = seed_of(network, place)
    with told_of_file(place), errors_of(client):
        X_blocks, y_blocks = _blocks(X, y)
        blocks = [
            send(client, tasks.block, *both, is_class)
            for both in zip(client.compute(X_blocks), client.compute(y_blocks), strict=True)
        ]
        surveys = results_of(
            client,
            [send(client, tasks.survey_block, one, is_class) for one in blocks],
            told,
            "reading",
        )
        counts = [one.n_rows for one in surveys]
        n_rows = sum(counts)
        if n_rows < 2:
            raise DataError("X and y have too few rows to train on")
        labels = _labels(surveys) if is_class else np.zeros(2)
        dtype = np.result_type(*{one.dtype for one in surveys})
        deal, batch_size = _plan(network, n_rows, int(X.shape[1]), seed)
        first_rows = np.cumsum([0, *counts[:-1]]).tolist()
        parts = [
            send(client, tasks.deal_block, deal, block, first)
            for block, first in zip(blocks, first_rows, strict=True)
        ]
        if place is not None:
            sums = [
                send(client, tasks.sums_of_block, *both, labels, is_class)
                for both in zip(blocks, first_rows, strict=True)
            ]
            place.keeper.check(
                lambda: of_arrays(
                    clone(network).set_params(random_state=seed),
                    (n_rows, int(X.shape[1])),
                    dtype,
                    labels if is_class else None,
                    np.sum(results_of(client, sums), axis=0),
                )
            )
        dealt = Dealt(client, parts, first_rows, n_rows, deal.n_shards, told)
        blocks.clear()  # the workers need their memory
        total = dealt.total()
        requested = {name: getattr(network, name) for name in ("batch_size", "early_stopping")}
        has_validation = "validation" in total
        network.set_params(batch_size=batch_size, early_stopping=has_validation)
        streamed = training.begin(network, int(X.shape[1]), labels, seed, dtype)
        first = send(client, tasks.given, streamed)

        def made(task: Any, name: str) -> Any:
            return send(client, task, first, dealt.rows_of(name), dtype)

        held = made(tasks.held_block, "validation") if has_validation else None
        shards = [made(tasks.shard_block, name) for name in deal.names() if name in total]
        dealt.forget()
        kept = KeptCourses(place, lambda networks: networks[0].set_params(**requested))
        _, interrupted = Ring(client, [streamed], [seed], shards, held, told, kept).train()
        if interrupted and not getattr(network, "n_iter_", 0):
            raise KeyboardInterrupt
        network.set_params(**requested)
    return network


def _check(network: Any) -> None:
    """Refuse parameters that cannot be honoured on a cluster."""
    if (message := invalid_parameter(network)) is not None:
        raise InputError(message)
    for name, why in _NOT_HERE.items():
        if getattr(network, name, None):
            raise InputError(f"`{name}` cannot be used {ON_CLUSTER}: {why}")
    if network.solver in ("lbfgs", "gd"):
        raise InputError(
            f"solver={network.solver!r} needs all rows at once; use solver='adam' on a cluster"
        )


def _blocks(X: Any, y: Any) -> tuple[list[Any], list[Any]]:
    """Return the delayed blocks of rows of X and of y, which belong together."""
    if X.ndim != 2 or y.ndim not in (1, 2) or (y.ndim == 2 and y.shape[1] != 1):
        raise DataError(
            "on a cluster X must have two dimensions and y one; a network of several targets needs "
            "the rows in memory"
        )
    if np.isnan(X.shape[1]):
        raise DataError("the number of columns of X is unknown; call X.compute_chunk_sizes() first")
    if not X.shape[1]:
        raise DataError("X has no columns; a network needs inputs")
    if len(X.chunks[1]) > 1:
        X = X.rechunk({1: -1})
    if X.numblocks[0] != y.numblocks[0] or not np.array_equal(
        X.chunks[0], y.chunks[0], equal_nan=True
    ):
        if np.isnan(X.shape[0]) or np.isnan(y.shape[0]):
            raise DataError(
                "the blocks of X and y have unknown and different sizes; call "
                "compute_chunk_sizes() of both first"
            )
        if X.shape[0] != y.shape[0]:
            raise DataError(
                f"X has {X.shape[0]} rows and y has {y.shape[0]}; they must have as many"
            )
        y = y.rechunk({0: X.chunks[0]})
    return X.to_delayed().ravel().tolist(), y.to_delayed().ravel().tolist()


def _labels(surveys: list[tasks.SurveyedBlock]) -> NDArray[Any]:
    """Return all classes that a block has."""
    labels = tasks.different_labels(np.concatenate([s.labels for s in surveys if s.n_rows]))
    if len(labels) < 2:
        raise DataError(f"y has a single class, {labels[0]}; there is nothing to learn")
    return labels


def _plan(network: Any, n_rows: int, n_inputs: int, seed: int) -> tuple[Deal, int]:
    """Decide how rows are dealt, and how large a batch is."""
    share = network.validation_fraction if network.early_stopping else 0.0
    share = min(share, _MOST_VALIDATION / n_rows)
    deal = Deal(number_of_shards(n_rows, n_inputs), seed, 0.0, share)
    wanted = 200 if network.batch_size == "auto" else int(network.batch_size)
    return deal, min(wanted, n_rows)
