"""The tasks of a cluster: functions of plain data that give the same wherever they run."""

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..engines.engine import Data
from ..estimators.holdout import Rows
from ..exceptions import ClusterError, DataError, collected_warnings
from ..streaming.course import held_rows, score_of
from ..streaming.dealing import Dealer
from ..streaming.digests import sums_of_columns
from ..streaming.rows import are_within
from ..streaming.shards import Deal
from ..streaming.statistics import Sample, Survey, rows_to_train
from ..streaming.training import StreamedNetwork
from ..streaming.visits import Carried, visit
from ..tabular.chunks import read_chunks
from ..tabular.reading import Reading

# Arrays whose rows belong together: rows in their compact form alone, or X and y.
RowArrays: TypeAlias = "tuple[NDArray[Any], ...]"


class Loaded(NamedTuple):
    """The rows of a file."""

    frames: list[Any]
    remarks: list[Warning]


class Surveyed(NamedTuple):
    """What was found in a part of a table."""

    survey: Survey
    columns: list[Any]
    remarks: list[Warning]


@cache
def versions() -> dict[str, str]:
    """Return the versions of packages whose objects travel between processes."""
    names = ("numpy", "pandas", "scikit-learn")
    return {"fastmlp": __version__, **{name: version(name) for name in names}}


def check_versions(address: str, theirs: dict[str, str], ours: dict[str, str]) -> None:
    """Raise ClusterError when a worker has other versions of packages than the one who trains."""
    for name, needed in ours.items():
        if theirs[name] != needed:
            raise ClusterError(
                f"the worker {address} has {name} {theirs[name]}, and the process that trains has "
                f"{needed}; install the same version on both"
            )


def checked(ours: dict[str, str], task: Callable[..., Any], *arguments: Any) -> Any:
    """Run a task where the versions are the right ones.

    Raises
    ------
    ClusterError
        When they differ.
    """
    if (theirs := versions()) != ours:
        from distributed import get_worker

        check_versions(get_worker().address, theirs, ours)
    return task(*arguments)


def given(value: Any) -> Any:
    """Return what is given: a value that several tasks need, and that is not lost with a worker."""
    return value


def load(path: str, reading: Reading, n_rows: int | None) -> Loaded:
    """Read a file of a table on a worker.

    Raises
    ------
    DataError
        When it cannot be read there.
    """
    if not os.path.exists(path):
        raise DataError(
            f"{path}: there is no such file on the worker {socket.gethostname()}; all machines of "
            "the cluster need it under the same name"
        )
    with collected_warnings() as remarks:
        chunks = read_chunks([path], replace(reading, allow_empty=True), n_rows)
        frames = [chunk.frame for chunk in chunks]
    return Loaded(frames, remarks)


def _frames(part: Any) -> list[Any]:
    """Return the frames of a part, a partition or a file, but for those without rows."""
    frames = part.frames if isinstance(part, Loaded) else [part.reset_index(drop=True)]
    return [frame for frame in frames if len(frame)]


def survey(part: Any, target: Any) -> Surveyed:
    """Look at the columns of a part; those of a part without rows count, too."""
    found = Survey()
    frames = part.frames if isinstance(part, Loaded) else [part]
    if not hasattr(frames[0], "columns"):
        kind = type(frames[0]).__name__
        raise DataError(f"a partition is a {kind}; each one must be a data frame of pandas")
    columns = list(frames[0].columns)
    if (repeated := frames[0].columns.duplicated()).any():
        name = columns[int(np.argmax(repeated))]
        raise DataError(f"column {name!r} is there more than once; columns need different names")
    if target in columns:
        for frame in _frames(part):
            found.add(frame, target)
    return Surveyed(found, columns, part.remarks if isinstance(part, Loaded) else [])


def sample(
    part: Any,
    columns: list[Any],
    first_row: int,
    seed: int,
    test_size: float,
    most: int,
    share: float,
) -> tuple[Sample, int]:
    """Draw from a part what may be in the sample of the table.

    Parameters
    ----------
    part : DataFrame or Loaded
    columns : list
        The order of the columns.
    first_row : int
        Number of its first row in the table.
    seed : int
    test_size : float
    most : int
        The most rows of the sample.
    share : float
        A little more than the share of the rows that will be in the sample.

    Returns
    -------
    sample : Sample
    n_trained : int
        The number of rows that are not held out for the test.
    """
    found, n_trained = Sample(most), 0
    for frame in _frames(part):
        places, draws = rows_to_train(first_row, len(frame), seed, test_size)
        n_trained += len(places)
        is_low = are_within(draws, share)
        if is_low.any():
            found.add(frame[columns], first_row, places[is_low], draws[is_low])
        first_row += len(frame)
    return found, n_trained


def deal(dealer: Dealer, part: Any, first_row: int) -> dict[str, RowArrays]:
    """Return the compact rows of a part by the names of their shards."""
    found: dict[str, list[NDArray[Any]]] = {}
    with collected_warnings():  # the first look has said them
        for frame in _frames(part):
            rows = dealer.compact(frame)
            for name, places in dealer.deal.places(first_row, len(rows)).items():
                if len(places):
                    found.setdefault(name, []).append(rows[places])
            first_row += len(rows)
    return {name: (np.concatenate(rows),) for name, rows in found.items()}


def sums(dealer: Dealer, dealt: dict[str, RowArrays], first_row: int) -> NDArray[np.uint64]:
    """Return the sums of some parts; see :meth:`fastmlp.streaming.dealing.Dealer.sums`."""
    rows = np.empty(sum(counts(dealt).values()), dealer.dtype)
    for name, places in dealer.deal.places(first_row, len(rows)).items():
        if len(places):
            rows[places] = dealt[name][0]
    return dealer.sums(first_row, rows)


def merge(parts: list[dict[str, RowArrays]]) -> dict[str, RowArrays]:
    """Return what parts that follow each other give to each shard."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: join([part[name] for part in parts if name in part]) for name in names}


def counts(dealt: dict[str, RowArrays]) -> dict[str, int]:
    """Count the rows that each shard gets."""
    return {name: len(rows[0]) for name, rows in dealt.items()}


def take(dealt: dict[str, RowArrays], name: str) -> RowArrays:
    """Return the rows that a shard gets."""
    return dealt[name]


def some(rows: RowArrays, begin: int, step: int) -> NDArray[Any]:
    """Return one of every so many compact rows."""
    return rows[0][begin::step]


def join(parts: list[RowArrays]) -> RowArrays:
    """Return the rows of a shard from all parts."""
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def shard_of(dealer: Dealer, streamed: StreamedNetwork, parts: list[RowArrays]) -> Data:
    """Make the rows of a shard what networks are trained on."""
    return streamed.data(*dealer.read(*join(parts)))


def held_of(dealer: Dealer, streamed: StreamedNetwork, parts: list[RowArrays]) -> Rows:
    """Make the rows that validate what networks are scored on."""
    return held_rows(streamed, *dealer.read(*join(parts)))


def visit_shard(
    shard: Data, streamed: StreamedNetwork, carried: Carried, seed: list[int], rate: float
) -> Carried:
    """Train a network for one pass over a shard; it has the threads of the task."""
    network = streamed.network
    visited = visit(
        shard,
        streamed.plan,
        carried.position,
        seed,
        rate,
        device=network.device,
        n_jobs=network.n_jobs,
    )
    return carried.after(visited, len(shard.Y))


def score(streamed: StreamedNetwork, held: Rows, carried: Carried) -> tuple[Carried, float]:
    """Score a network at the end of an epoch."""
    found = score_of(streamed, held, carried.position, streamed.network.n_jobs)
    return carried, found


class SurveyedBlock(NamedTuple):
    """What was found in some rows of X and y."""

    n_rows: int
    labels: NDArray[Any]
    """The different values of y, for a classification."""
    dtype: np.dtype[Any]
    """The type in which a network is trained on these rows."""


def block(X: Any, y: Any, is_class: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return rows of X and y that belong together.

    Raises
    ------
    DataError
        When their numbers differ, or when values cannot be learned from.
    """
    X, y = _array_of("X", X), _array_of("y", y)
    y = y.reshape(len(y))
    if len(X) != len(y):
        raise DataError(f"a block of X has {len(X)} rows, and that of y {len(y)}")
    X = _numbers_of("X", X)
    return X, _labels_of(y) if is_class else _numbers_of("y", y)


def _array_of(name: str, block: Any) -> NDArray[Any]:
    """Return a block as an array of numpy."""
    if np.ma.is_masked(block):
        raise DataError(f"{name} has masked values; fill them, or leave these rows out")
    found = np.asarray(block)
    if not found.ndim:
        raise DataError(
            f"{name} has blocks of type {type(block).__name__}; make them dense arrays of numpy"
        )
    if found.dtype.kind == "c":
        raise DataError(f"{name} has complex numbers; make columns of their parts")
    return found


def _numbers_of(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return values if all are finite numbers; what numpy has no type of numbers for as float64."""
    try:
        numbers = values.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} has values that are no numbers ({error})") from None
    if not np.isfinite(numbers).all():
        raise DataError(
            f"{name} has values that are missing or infinite; fill them, or leave these rows out"
        )
    return values if values.dtype.kind in "biuf" else numbers


def _labels_of(y: NDArray[Any]) -> NDArray[Any]:
    """Return labels if none is missing and all can be told apart."""
    if any(label is None or label != label for label in np.asarray(y, dtype=object)):
        raise DataError("y has labels that are missing; leave these rows out")
    if y.dtype.kind == "f" and not (y == np.floor(y)).all():
        raise DataError("y has fractions, which are no class labels; use an MLPRegressor")
    return y


def different_labels(y: NDArray[Any]) -> NDArray[Any]:
    """Return the different labels in their order.

    Raises
    ------
    DataError
        When they have no order, such as text and numbers.
    """
    try:
        return np.unique(y)
    except TypeError:
        kinds = " and ".join(sorted({type(label).__name__ for label in y}))
        raise DataError(
            f"y has labels of the types {kinds}, which have no order; give them one type"
        ) from None


def survey_block(rows: tuple[NDArray[Any], NDArray[Any]], is_class: bool) -> SurveyedBlock:
    """Look at rows of X and y."""
    X, y = rows
    dtype = np.dtype(np.float32 if X.dtype == np.float32 else np.float64)
    return SurveyedBlock(len(y), different_labels(y) if is_class else y[:0], dtype)


def deal_block(
    deal: Deal, rows: tuple[NDArray[Any], NDArray[Any]], first_row: int
) -> dict[str, RowArrays]:
    """Return the rows of X and y by the names of their shards."""
    X, y = rows
    places = deal.places(first_row, len(y))
    return {name: (X[which], y[which]) for name, which in places.items() if len(which)}


def sums_of_block(
    rows: RowArrays, first_row: int, labels: NDArray[Any], is_class: bool
) -> NDArray[np.uint64]:
    """Return the sums of the columns of X and of y; of a class counts its place in `labels`."""
    X, y = rows
    target = np.searchsorted(labels, y) if is_class else y
    columns = [one.astype(np.float64, copy=False) for one in (X, target[:, None])]
    return sums_of_columns(first_row, columns)


def _joined(parts: list[RowArrays], dtype: np.dtype[Any]) -> RowArrays:
    X, y = join(parts)
    return np.ascontiguousarray(X.astype(dtype, copy=False)), y


def shard_block(streamed: StreamedNetwork, parts: list[RowArrays], dtype: np.dtype[Any]) -> Data:
    """Make the rows of a shard what a network is trained on."""
    return streamed.data(*_joined(parts, dtype))


def held_block(streamed: StreamedNetwork, parts: list[RowArrays], dtype: np.dtype[Any]) -> Rows:
    """Make the rows that validate what a network is scored on."""
    return held_rows(streamed, *_joined(parts, dtype))
