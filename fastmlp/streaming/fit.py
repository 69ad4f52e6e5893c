"""Training a model on files that are larger than the memory."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import DataError, InputError, collected_warnings
from ..tabular.ahead import read_ahead
from ..tabular.chunks import located, read_chunks
from ..tabular.csv import Origin, listed
from ..tabular.known import level_columns
from ..tabular.paths import files_of
from ..tabular.reading import Reading
from ..training.checkpoint import CheckpointPath
from ..training.history import Epoch
from ..training.keeping import kept
from .dealing import Dealer
from .keeping import KeptCourses, told_of_file
from .pipeline import Endings, check_parameters, train_by_shards
from .shards import ShardWriter
from .statistics import Statistics, Told, check_unchanged, look_at
from .training import StreamedNetwork, train

_SAMPLE = 200_000


def train_files(
    path: Origin,
    target: str | None = None,
    task: str = "auto",
    *,
    cache: str | os.PathLike[str] | None = None,
    test_size: float = 0.2,
    random_state: int = 0,
    separator: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    na_values: str | Sequence[str] = (),
    text: str | Sequence[str] = (),
    drop: str | Sequence[str] = (),
    header: bool | None = None,
    callback: Callable[[Epoch], Any] | None = None,
    told: Told | None = None,
    n_rows: int | None = None,
    n_sample: int = _SAMPLE,
    checkpoint: CheckpointPath = None,
    **parameters: Any,
) -> Any:
    """Train a network on files of any size, in little memory.

    The table is read twice: first for the kinds of its columns and a sample of at most `n_sample`
    rows, from which medians, scales and levels are learned; then each row goes in a compact form
    to one of several files, its shard, by a hash of its number. An epoch visits all shards in a
    random order, and the rows of each in a random order. So a sorted table is learned as well as a
    shuffled one, and neither `n_rows` nor the number of threads changes the model.

    Parameters
    ----------
    path : str, Path, or a sequence of these
        As for :func:`fastmlp.tabular.csv.read_table`, but for pipes and objects that are open.
    target : str or None, default=None
        Name of the target column; None is the last one.
    task : {'auto', 'classification', 'regression'}, default='auto'
        As for :func:`fastmlp.train_table`.
    cache : str, Path or None, default=None
        Folder in which the shards lie until training ends; they take about as much room as the
        text. None is the one for temporary files.
    test_size : float, default=0.2
        Share of the rows that are held out for the test metrics, by a hash of their numbers; a
        million of them are measured at most.
    random_state : int, default=0
    separator, encoding, decimal, na_values, text, drop, header : optional
        As for :func:`fastmlp.tabular.csv.read_table`.
    callback : callable, optional
        It is called after each epoch, and ends training where it returns True.
    told : callable, optional
        ``told(what, share)`` is called as the table is read, with the share of its bytes, and
        after each visit, with the share of the shards.
    n_rows : int or None, default=None
        The most rows that are read at a time; None is 100 000.
    n_sample : int, default=200000
        The most rows of which the columns are learned.
    checkpoint : str, Path or Checkpoint, optional
        File in which the state of training is kept, so that the same call in another process goes
        on with it where this one is killed; see :class:`fastmlp.Checkpoint`. It is written after
        a visit to a shard, so that of a long epoch no more is lost. The shards are made again.
    **parameters
        Parameters of :class:`fastmlp.TabularClassifier` or :class:`fastmlp.TabularRegressor`.
        There is one network, or `members` of these parameters, each of which is trained on all
        rows in an order of its own; their mean predicts.

    Returns
    -------
    TabularClassifier or TabularRegressor
        With ``report_`` as from :func:`fastmlp.train_table`.

    Raises
    ------
    DataError
        When the table cannot be learned from, and when it changes while it is read.
    InputError
        When a parameter cannot be used here, when the shards cannot be written, and when the
        checkpoint is of another training.
    DivergenceError
        When the loss is not finite.
    """
    began = time.perf_counter()
    check_parameters(task, test_size, parameters)
    reading = Reading(
        separator=separator,
        encoding=encoding,
        decimal=decimal,
        na_values=listed(na_values),
        header=header,
        verbatim=set(listed(text)),
        drop=listed(drop),
    )
    with kept(checkpoint) as place:
        found = look_at(
            path,
            reading,
            target,
            test_size=test_size,
            seed=random_state,
            n_sample=n_sample,
            n_rows=n_rows,
            told=told,
        )
        folder = None if cache is None else os.fspath(cache)
        if folder is not None and not os.path.isdir(folder):
            raise InputError(f"{folder}: there is no such folder for `cache`")
        with (
            tempfile.TemporaryDirectory(prefix=".fastmlp-shards-", dir=folder) as shards,
            told_of_file(place),
        ):
            runner = _Here(found, Path(shards), path, n_rows, callback, told, place is not None)
            return train_by_shards(
                runner, found, task, test_size, random_state, parameters, began, _members, place
            )


def _members(model: Any) -> int:
    """Return the number of networks of a model: one, unless the user wants more."""
    return 1 if isinstance(model.members, str) else int(model.members)


class _Here:
    """Deals rows to files, and makes one visit after the other; see :class:`Runner`."""

    where = "the table streams"

    def __init__(
        self,
        found: Statistics,
        folder: Path,
        path: Origin,
        n_rows: int | None,
        callback: Callable[[Epoch], Any] | None,
        told: Told | None,
        has_sums: bool,
    ) -> None:
        self._found, self._folder, self._path, self._n_rows = found, folder, path, n_rows
        self._callback, self._told, self._has_sums = callback, told, has_sums

    def deal(self, dealer: Dealer) -> dict[str, int]:
        """Read the table a second time, and deal its rows to shards."""
        found, self._sums = self._found, np.zeros(1, np.uint64)
        writer = ShardWriter(self._folder, dealer.dtype, dealer.deal)
        with collected_warnings():  # the first look has said them
            reading = replace(found.reading, levels=level_columns(dealer.model))
            for chunk in read_ahead(read_chunks(files_of(self._path), reading, self._n_rows)):
                try:
                    rows = dealer.compact(chunk.frame)
                except DataError as error:
                    raise DataError(located(str(error), chunk)) from None
                writer.add(chunk.first_row, rows)
                if self._has_sums:
                    self._sums = self._sums + dealer.sums(chunk.first_row, rows)
                if self._told is not None:
                    self._told("writing shards", chunk.place)
        check_unchanged(found.sources)
        self._shards = writer.shards
        return self._shards.counts

    def sums(self, dealer: Dealer) -> NDArray[np.uint64]:
        """Return the sums of all rows, which were found when they were dealt."""
        return self._sums

    def train(
        self,
        dealer: Dealer,
        networks: list[StreamedNetwork],
        seeds: list[int],
        shards: list[str],
        kept: KeptCourses,
    ) -> Endings:
        """Train one network after the other."""
        validation = "validation" if self._shards.counts.get("validation") else None
        courses = [
            kept.begin(streamed, len(shards), seed)
            for streamed, seed in zip(networks, seeds, strict=True)
        ]
        interrupted = False
        with kept.until_it_fails():
            for streamed, course in zip(networks, courses, strict=True):
                if interrupted:
                    if course.n_epochs:  # those that a checkpoint had
                        course.finish()
                    continue
                interrupted = train(
                    streamed,
                    lambda name: dealer.read(self._shards.read(name)),
                    shards,
                    validation,
                    course,
                    kept,
                    self._callback,
                    self._told,
                )
        if interrupted:
            kept.interrupted()
        return Endings(not interrupted and all(one.converged for one in courses), interrupted)

    def rows(self, name: str, step: int) -> NDArray[Any]:
        """Read rows of a shard."""
        return np.array(self._shards.mapped(name)[::step])
