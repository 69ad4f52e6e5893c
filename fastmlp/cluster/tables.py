"""Tables on a cluster: partitions or files become shards, which networks visit."""

import os
import time
from collections.abc import Callable, Hashable, Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import DataError, InputError, warn_user
from ..streaming.dealing import Dealer
from ..streaming.keeping import KeptCourses, told_of_file
from ..streaming.pipeline import Endings, check_parameters, train_by_shards
from ..streaming.statistics import Sample, Statistics, Survey, Told, check_unchanged, look_at
from ..streaming.training import StreamedNetwork
from ..tabular.csv import Origin, listed
from ..tabular.pack.preparation import set_parameters
from ..tabular.reading import Reading
from ..tabular.targets import find_target
from ..training.checkpoint import CheckpointPath
from ..training.keeping import Place, kept
from . import tasks
from .clients import connected, errors_of, results_of, send, usable_client
from .dealt import Dealt
from .ring import Ring, remark_on_speed

_SAMPLE = 200_000
_NETWORKS = 8
_KINDS = {"number": "numbers", "text": "text or dates", "truth": "truth values"}
ON_CLUSTER = "on a cluster"


class Parts:
    """A table on a cluster.

    Parameters
    ----------
    client : distributed.Client
    parts : list of Future
        Each of a frame or of :class:`fastmlp.cluster.tasks.Loaded`.
    told : callable or None

    Attributes
    ----------
    first_rows : list of int
        The number of the first row of each part, when they have been looked at.
    n_rows : int
        The number of rows of all parts, likewise.
    """

    def __init__(self, client: Any, parts: list[Any], told: Told | None) -> None:
        self.client, self.parts, self.told = client, parts, told
        self.first_rows: list[int] = []
        self.n_rows = 0

    def survey(self, target: Any) -> tuple[Survey, list[Any]]:
        """Look at all columns.

        Returns
        -------
        survey : Survey
        columns : list
            The names of the columns, in the order of the first part.

        Raises
        ------
        DataError
            When parts have different columns, or the target is missing in a row.
        """
        futures = [send(self.client, tasks.survey, part, target) for part in self.parts]
        all_found = results_of(self.client, futures, self.told, "reading")
        columns = all_found[0].columns
        together, self.first_rows = Survey(), []
        for i, found in enumerate(all_found):
            _check_columns(columns, found.columns, i)
            self.first_rows.append(together.n_rows)
            together.join(found.survey)
        self.n_rows = together.n_rows
        for remark in {str(r): r for found in all_found for r in found.remarks}.values():
            warn_user(remark)
        if target not in columns:
            raise DataError(f"there is no target column {target!r} in the table")
        together.check_target(target)
        return together, columns

    def sample(
        self, columns: list[Any], n_rows: int, seed: int, test_size: float, most: int
    ) -> tuple[Any, int]:
        """Draw the sample of the rows of training; see :func:`fastmlp.cluster.tasks.sample`.

        Returns
        -------
        sample : DataFrame
        n_trained : int
        """
        # Ten standard deviations more than are wanted, so that there are enough.
        wanted = most + 10 * sqrt(most) + 100
        share = min(1.0, wanted / max(1.0, n_rows * (1 - test_size)))
        futures = [
            send(self.client, tasks.sample, part, columns, first, seed, test_size, most, share)
            for part, first in zip(self.parts, self.first_rows, strict=True)
        ]
        together, n_trained = Sample(most), 0
        for found, count in results_of(self.client, futures):
            together.join(found)
            n_trained += count
        if not n_trained:
            raise DataError("there are no rows left to train on; use more rows or test_size=0")
        return together.frame(), n_trained


def _check_columns(first: list[Any], other: list[Any], number: int) -> None:
    missing = [name for name in first if name not in other]
    further = [name for name in other if name not in first]
    if missing:
        raise DataError(
            f"there is no column {missing[0]!r} in part {number + 1} of the table; all parts must "
            "have the same columns"
        )
    if further:
        raise DataError(
            f"part {number + 1} of the table has the column {further[0]!r}, which part 1 has not; "
            "all parts must have the same columns"
        )


class OnCluster:
    """Deals rows to shards in the memory of workers; see :class:`fastmlp.streaming.pipeline`.

    Parameters
    ----------
    table : Parts
    again : callable or None, default=None
        It is called before the rows are dealt, such as to read them anew.
    """

    where = "the table lies on a cluster"

    def __init__(self, table: Parts, again: Callable[[], None] | None = None) -> None:
        self._table, self._client, self._again = table, table.client, again

    def deal(self, dealer: Dealer) -> dict[str, int]:
        """Deal the rows of all parts."""
        if self._again is not None:
            self._again()
        client, table = self._client, self._table
        self._dealing = send(client, tasks.given, dealer)
        parts = [
            send(client, tasks.deal, self._dealing, part, first)
            for part, first in zip(table.parts, table.first_rows, strict=True)
        ]
        n_shards = dealer.deal.n_shards
        self._dealt = Dealt(client, parts, table.first_rows, table.n_rows, n_shards, table.told)
        table.parts = []  # the workers need their memory
        total = self._dealt.total()
        names = total.keys() & {"test", "validation"}
        self._kept = {name: self._dealt.rows_of(name) for name in names}
        return total

    def sums(self, dealer: Dealer) -> NDArray[np.uint64]:
        """Add up the sums of all parts, which workers find."""
        total: NDArray[np.uint64] = np.sum(self._dealt.each(tasks.sums, self._dealing), axis=0)
        return total

    def train(
        self,
        dealer: Dealer,
        networks: list[StreamedNetwork],
        seeds: list[int],
        shards: list[str],
        kept: KeptCourses,
    ) -> Endings:
        """Let all networks circulate at once."""
        client = self._client
        first = send(client, tasks.given, networks[0])

        def made(task: Callable[..., Any], parts: list[Any]) -> Any:
            return send(client, task, self._dealing, first, parts)

        held = None
        if "validation" in self._kept:
            held = made(tasks.held_of, self._kept["validation"])
        of_shards = [made(tasks.shard_of, self._dealt.rows_of(name)) for name in shards]
        self._dealt.forget()
        ring = Ring(client, networks, seeds, of_shards, held, self._table.told, kept)
        endings = Endings(*ring.train())
        if not any(hasattr(one.network, "n_iter_") for one in networks):
            raise KeyboardInterrupt  # in the first epoch, of which nothing is kept
        return endings

    def rows(self, name: str, step: int) -> NDArray[Any]:
        """Fetch rows of a shard that no network is trained on."""
        futures, begin = [], 0
        counts = [counts[name] for counts in self._dealt.counts if name in counts]
        for part, count in zip(self._kept[name], counts, strict=True):
            futures.append(send(self._client, tasks.some, part, begin, step))
            begin = (begin - count) % step
        return np.concatenate(results_of(self._client, futures))


def fit_table(
    client: Any, estimator: Any, table: Any, target: Any, told: Told | None, place: Place | None
) -> Any:
    """Train a model of a table on a cluster; see :func:`fastmlp.dask.fit`."""
    began = time.perf_counter()
    parameters = estimator.get_params(deep=False)
    check_parameters(estimator._task, 0.0, parameters, ON_CLUSTER)
    seed = seed_of(estimator, place)
    if not isinstance(target, Hashable):
        raise DataError("a cluster trains for one target; name a column as `target`")
    with told_of_file(place), errors_of(client):
        parts = Parts(client, client.compute(list(table.to_delayed())), told)
        name = find_target(table._meta, target)
        survey, columns = parts.survey(name)
        if mixed := survey.mixed():
            column = min(mixed, key=str)
            first, second, *_ = (_KINDS[kind] for kind in sorted(survey.kinds[column] - {""}))
            raise DataError(
                f"column {column!r} has {first} in some partitions and {second} in others; give "
                "it one type with astype"
            )
        if survey.n_rows < 2:
            raise DataError("the table has too few rows to train on")
        sample, n_trained = parts.sample(columns, survey.n_rows, seed, 0.0, _SAMPLE)
        found = survey.statistics(Reading(), name, n_trained, sample)
        model = train_by_shards(
            OnCluster(parts),
            found,
            estimator._task,
            0.0,
            seed,
            parameters,
            began,
            lambda model: n_networks_of(model, parameters, client),
            place,
        )
    del model.report_, model.reading_, model.na_values_  # they tell of files
    return model


def seed_of(estimator: Any, place: Place | None) -> int:
    """Return the seed of an estimator; raise InputError where it is no number.

    Where it has none, the one that is drawn is that of the checkpoint, if there is one.
    """
    seed = estimator.random_state
    if seed is None:
        generator = np.random.RandomState()
        if place is not None:
            generator = place.begin(generator)
        return int(generator.randint(2**32, dtype=np.uint32))
    if not isinstance(seed, int | np.integer):
        raise InputError(f"random_state must be a number on a cluster, not a {type(seed).__name__}")
    return int(seed)


def n_networks_of(model: Any, parameters: dict[str, Any], client: Any) -> int:
    """Return how many networks a model has on a cluster.

    `members` says so; 'auto' is a single one where parameters of a network are set, as everywhere.
    """
    if not isinstance(model.members, str):
        number = int(model.members)
    else:
        is_set = not parameters.keys().isdisjoint(set_parameters(model))
        number = 1 if is_set or model.effort == "low" else _NETWORKS
    remark_on_speed(client, number)
    return number


def train_files_on_cluster(
    path: Origin,
    address: str,
    target: str | None = None,
    task: str = "auto",
    *,
    test_size: float = 0.2,
    random_state: int = 0,
    separator: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    na_values: str | Sequence[str] = (),
    text: str | Sequence[str] = (),
    drop: str | Sequence[str] = (),
    header: bool | None = None,
    told: Told | None = None,
    checkpoint: CheckpointPath = None,
    **parameters: Any,
) -> Any:
    """Train on files that all workers of a cluster can read.

    The model is that of :func:`fastmlp.train_files` with as many `members`.

    Parameters
    ----------
    path : str, Path, or a sequence of these
        Files, or patterns of their names. Each file is read by one worker, under the same name as
        here.
    address : str
        That of the scheduler, such as tcp://host:8786.
    target, task, test_size, random_state : optional
        As for :func:`fastmlp.train_files`.
    separator, encoding, decimal, na_values, text, drop, header : optional
        As for :func:`fastmlp.tabular.csv.read_table`.
    told : callable, optional
        ``told(what, share)`` is called as files are read, and after each visit.
    checkpoint : str, Path or Checkpoint, optional
        As for :func:`fastmlp.dask.fit`. :func:`fastmlp.train_files` with as many `members` can go
        on with the file, and the other way round.
    **parameters
        Parameters of :class:`fastmlp.TabularClassifier` or :class:`fastmlp.TabularRegressor`.
        Where none of a network is set and no `members`, there are 8 networks.

    Returns
    -------
    TabularClassifier or TabularRegressor
        With ``report_`` as from :func:`fastmlp.train_table`.

    Raises
    ------
    ClusterError
        When there is no such cluster, and when it is lost.
    DataError
        When the table cannot be learned from, or when a worker cannot read a file.
    InputError
        When a parameter cannot be used here, and when the checkpoint is of another training.
    """
    began = time.perf_counter()
    check_parameters(task, test_size, parameters, ON_CLUSTER)
    reading = Reading(
        separator=separator,
        encoding=encoding,
        decimal=decimal,
        na_values=listed(na_values),
        header=header,
        verbatim=set(listed(text)),
        drop=listed(drop),
    )
    with (
        kept(checkpoint) as place,
        connected(address) as client,
        told_of_file(place),
        errors_of(usable_client(client)),
    ):
        files = _Files(client, told)
        found = look_at(
            path,
            reading,
            target,
            test_size=test_size,
            seed=random_state,
            n_sample=_SAMPLE,
            told=told,
            one_pass=files.look,
        )
        return train_by_shards(
            OnCluster(files.table, lambda: files.read_again(found)),
            found,
            task,
            test_size,
            random_state,
            parameters,
            began,
            lambda model: n_networks_of(model, parameters, client),
            place,
        )


class _Files:
    """Files that workers read."""

    def __init__(self, client: Any, told: Told | None) -> None:
        self._client, self._told = client, told

    def look(
        self,
        files: list[Any],
        reading: Reading,
        target: str,
        test_size: float,
        seed: int,
        n_sample: int,
        n_rows: int | None,
        told: Told | None,
    ) -> tuple[Statistics, set[str]]:
        """Read all files for the first time."""
        self._paths = [os.path.abspath(os.fsdecode(file)) for file in files]
        self.table = Parts(self._client, self._loaded(reading, n_rows), told)
        survey, columns = self.table.survey(target)
        sample, n_trained = self.table.sample(columns, survey.n_rows, seed, test_size, n_sample)
        found = survey.statistics(reading, target, n_trained, sample)
        return found, survey.mixed() - reading.as_text

    def _loaded(self, reading: Reading, n_rows: int | None = None) -> list[Any]:
        return [send(self._client, tasks.load, path, reading, n_rows) for path in self._paths]

    def read_again(self, found: Statistics) -> None:
        """Read the files as it has turned out that they are to be read."""
        self.table.parts = self._loaded(found.reading)
        check_unchanged(found.sources)
