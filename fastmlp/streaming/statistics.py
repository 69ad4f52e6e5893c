"""The first look at a table: its rows, what its columns hold, and a sample."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import DataError, collected_warnings, warn_user
from ..tabular.ahead import read_ahead
from ..tabular.chunks import beginning_of, located, read_chunks
from ..tabular.conversion import with_booleans
from ..tabular.csv import Origin, kind_of
from ..tabular.frames import empty_frame, joined_frames
from ..tabular.paths import files_of
from ..tabular.reading import Reading
from ..tabular.targets import find_target
from .rows import Purpose, are_within, drawn

# Told of a share of the bytes of a pass: (what is done, share).
Told = Callable[[str, float], None]
# A pass over files with what they are read for: (files, reading, target, test_size, seed, n_sample,
# n_rows, told). It also tells which columns have to be read anew as text.
Pass = Callable[
    [list[Any], Reading, str, float, int, int, int | None, Told | None],
    tuple["Statistics", set[str]],
]
_MOST_TARGETS = 10_000  # different values of a target that are remembered


@dataclass
class Statistics:
    """What the first look has found.

    Attributes
    ----------
    reading : Reading
        How the table is read the second time: the columns, and which of them are text.
    target : str
    n_rows : int
    n_trained : int
        The number of rows that are not held out for the test.
    sample : pandas.DataFrame
        Rows of the training, the target included, in their order; all of them, if they are few.
    target_values : list or None
        The different values of the target; None where there are very many.
    sources : list of tuple
        Path, size and time of each file.
    """

    reading: Reading
    target: str
    n_rows: int
    n_trained: int
    sample: Any
    target_values: list[Any] | None
    sources: list[tuple[str, int, int]]
    record: dict[str, Any] = field(default_factory=dict)


def states_of(files: list[Any]) -> list[tuple[str, int, int]]:
    """Return path, size and time of change of files, by which it is seen that one has changed."""
    found = []
    for file in files:
        if not isinstance(file, str | os.PathLike) or not os.path.isfile(file):
            if isinstance(file, str | os.PathLike) and not os.path.exists(file):
                raise DataError(f"{os.fsdecode(file)}: there is no such file")
            raise DataError("a table that streams is read twice, so it has to be in files")
        state = os.stat(file)
        found.append((os.fsdecode(file), state.st_size, state.st_mtime_ns))
    return found


def check_unchanged(before: list[tuple[str, int, int]]) -> None:
    """Raise DataError when a file is no longer what it was."""
    for path, size, changed in before:
        if not os.path.exists(path) or states_of([path]) != [(path, size, changed)]:
            raise DataError(f"{path}: has changed while it was read; start again")


class Sample:
    """The rows of which the smallest numbers were drawn."""

    def __init__(self, most: int) -> None:
        self._most, self._count = most, 0
        self._parts: list[tuple[Any, NDArray[Any], NDArray[np.uint64]]] = []
        self._bound: np.uint64 | None = None  # no larger draw is in the sample

    def add(
        self, frame: Any, first: int, places: NDArray[np.intp], draws: NDArray[np.uint64]
    ) -> None:
        """Consider rows of a frame, whose first one has the number `first`, at some places."""
        if self._bound is not None:
            is_low = draws < self._bound
            places, draws = places[is_low], draws[is_low]
        rows = places + first
        self._parts.append((frame.iloc[places].reset_index(drop=True), rows, draws))
        self._count += len(rows)
        if self._count > 1.5 * self._most:
            self._cut()

    def join(self, other: "Sample") -> None:
        """Consider the rows of another sample, which follow."""
        self._parts += other._parts
        self._count += other._count
        if self._count > 1.5 * self._most:
            self._cut()

    def _cut(self) -> None:
        frame = joined_frames([part[0] for part in self._parts])
        rows, draws = (np.concatenate([part[i] for part in self._parts]) for i in (1, 2))
        chosen = np.argsort(draws, kind="stable")[: self._most]
        if len(chosen) == self._most:
            self._bound = draws[chosen[-1]]
        chosen = chosen[np.argsort(rows[chosen])]
        frame = frame.iloc[chosen].reset_index(drop=True)
        self._parts, self._count = [(frame, rows[chosen], draws[chosen])], len(chosen)

    def frame(self) -> Any:
        """Return the sample, in the order of the table."""
        self._cut()
        return self._parts[0][0]


def look_at(
    path: Origin,
    reading: Reading,
    target: str | None,
    *,
    test_size: float,
    seed: int,
    n_sample: int = 200_000,
    n_rows: int | None = None,
    told: Told | None = None,
    one_pass: Pass | None = None,
) -> Statistics:
    """Read a table for the first time.

    Parameters
    ----------
    path : str, Path, or a sequence of these
    reading : Reading
        What the user says of how it is read.
    target : str or None
        None is the last column.
    test_size : float
        The share of the rows that are held out.
    seed : int
    n_sample : int, default=200000
        The most rows of the sample.
    n_rows : int or None, default=None
        The most rows that are read at a time, which make no difference.
    told : callable or None, default=None
    one_pass : callable or None, default=None
        What reads all rows once; None reads them here.

    Returns
    -------
    Statistics

    Raises
    ------
    DataError
        When the table cannot be read, or the target is missing in a row.
    """
    one_pass = one_pass or _pass
    files = files_of(path)
    sources = states_of(files)
    with collected_warnings() as remarks:
        names, has_header = beginning_of(files[0], reading)
    left = [name for name in names if name not in reading.drop]
    if not left:
        raise DataError(f"{sources[0][0]}: no column is left")
    name = left[-1] if target is None else find_target(empty_frame(left), target)
    reading = replace(reading, known=set(left), header=has_header, targets=[name])
    said = set(map(str, remarks))
    for remark in remarks:
        warn_user(remark)
    while True:
        with collected_warnings() as remarks:
            found, mixed = one_pass(files, reading, name, test_size, seed, n_sample, n_rows, told)
        for remark in remarks:
            if str(remark) not in said:
                said.add(str(remark))
                warn_user(remark)
        if not mixed:
            break
        # A column that is text somewhere is text, as it stands in the file.
        reading = replace(reading, as_text=reading.as_text | mixed)
    found.sources = sources
    check_unchanged(sources)
    if len(found.sample) < 2:
        raise DataError(f"{sources[0][0]}: there are too few rows to train on")
    found.record = {
        "decimal": reading.decimal,
        "header": has_header,
        "n_columns": len(names),
        "na_values": list(map(str, reading.na_values)),
        "text": sorted(reading.verbatim),
    }
    found.sample.attrs["reading"] = found.record
    return found


@dataclass
class Survey:
    """What the columns of some rows hold.

    Attributes
    ----------
    n_rows : int
    kinds : dict of str to set of str
        What the values of each column are, as from :func:`fastmlp.tabular.csv.kind_of`.
    floats : set of str
        Columns that are float64.
    target_values : dict or None
        The different values of the target as its keys; None where there are very many.
    missing : int or None
        The number of the first row whose target is missing, from 0.
    """

    n_rows: int = 0
    kinds: dict[str, set[str]] = field(default_factory=dict)
    floats: set[str] = field(default_factory=set)
    target_values: dict[Any, None] | None = field(default_factory=dict)
    missing: int | None = None

    def add(self, frame: Any, target: str) -> None:
        """Look at further rows."""
        for name in frame.columns:
            self.kinds.setdefault(name, set()).add(kind_of(frame[name]))
            if frame[name].dtype == np.float64:
                self.floats.add(name)
        absent = frame[target].isna().to_numpy()
        if absent.any() and self.missing is None:
            self.missing = self.n_rows + int(np.argmax(absent))
        self.n_rows += len(frame)
        self._add_values(dict.fromkeys(frame[target].unique().tolist()))

    def _add_values(self, values: dict[Any, None] | None) -> None:
        if values is None or self.target_values is None:
            self.target_values = None
            return
        self.target_values.update(values)
        if len(self.target_values) > _MOST_TARGETS:
            self.target_values = None

    def join(self, other: "Survey") -> None:
        """Add what was found in rows that follow."""
        for name, kinds in other.kinds.items():
            self.kinds.setdefault(name, set()).update(kinds)
        self.floats |= other.floats
        if self.missing is None and other.missing is not None:
            self.missing = self.n_rows + other.missing
        self.n_rows += other.n_rows
        self._add_values(other.target_values)

    def check_target(self, target: str) -> None:
        """Raise DataError when the target is missing in a row."""
        if self.missing is not None:
            raise DataError(_missing_target(target, self.missing))

    def mixed(self) -> set[str]:
        """Return the columns that are text in some rows and something else in others."""
        return {name for name, found in self.kinds.items() if len(found - {""}) > 1}

    def settled(self, sample: Any) -> Any:
        """Give the columns of a sample the types that they have in all rows."""
        frame = with_booleans(sample)
        for name in self.floats.intersection(frame.columns):
            if self.kinds[name] <= {"number", ""}:
                frame[name] = frame[name].to_numpy(np.float64, na_value=np.nan)
        return frame

    def statistics(self, reading: Reading, target: str, n_trained: int, sample: Any) -> Statistics:
        """Return what is known of the table when all rows have been looked at."""
        if not self.mixed():
            texts = {name for name, found in self.kinds.items() if "text" in found}
            reading = replace(reading, as_text=reading.as_text | texts)
        values = None if self.target_values is None else list(self.target_values)
        return Statistics(reading, target, self.n_rows, n_trained, self.settled(sample), values, [])


def rows_to_train(
    first: int, count: int, seed: int, test_size: float
) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """Tell which of some rows are not held out for the test, and what is drawn for their sample.

    Parameters
    ----------
    first, count, seed : int
        As for :func:`fastmlp.streaming.rows.drawn`.
    test_size : float

    Returns
    -------
    places : ndarray of int
    draws : ndarray of uint64
    """
    is_test = are_within(drawn(first, count, seed, Purpose.TEST), test_size)
    places = np.flatnonzero(~is_test)
    return places, drawn(first, count, seed, Purpose.SAMPLE)[places]


def _pass(
    files: list[Any],
    reading: Reading,
    target: str,
    test_size: float,
    seed: int,
    n_sample: int,
    n_rows: int | None,
    told: Told | None,
) -> tuple[Statistics, set[str]]:
    """Read all rows; tell which columns are text in some of them and something else in others."""
    survey, sample, n_trained = Survey(), Sample(n_sample), 0
    for chunk in read_ahead(read_chunks(files, reading, n_rows)):
        frame = chunk.frame
        check_columns(frame, reading, files, survey.kinds)
        survey.add(frame, target)
        if survey.missing is not None:
            message = _missing_target(target, survey.missing - chunk.first_row)
            raise DataError(located(message, chunk))
        rows, draws = rows_to_train(chunk.first_row, len(frame), seed, test_size)
        n_trained += len(rows)
        sample.add(frame, chunk.first_row, rows, draws)
        if told is not None:
            told("reading", chunk.place)
    found = survey.statistics(reading, target, n_trained, sample.frame())
    return found, survey.mixed() - reading.as_text


def check_columns(
    frame: Any, reading: Reading, files: list[Any], kinds: dict[str, set[str]]
) -> None:
    """Raise DataError when a file has not all of the columns of the first."""
    missing = [name for name in kinds or reading.known if name not in frame.columns]
    if missing:
        raise DataError(
            f"there is no column {missing[0]!r} in all of the {len(files)} files; files of one "
            "table must have the same columns"
        )


def _missing_target(target: str, row: int) -> str:
    return f"target column {target!r} is missing in row {row + 1}; remove or fill such rows"
