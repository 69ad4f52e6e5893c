"""The second look at a table: each row goes to a file, its shard, in a compact form."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exceptions import InputError
from .rows import Purpose, are_within, drawn

_BYTES_OF_INPUTS = 1 << 26  # of a shard, as float32
_FEWEST_SHARDS = 16
_FEWEST_ROWS = 1000


@dataclass
class Shards:
    """Files of rows: those to train on, to validate and to test.

    Attributes
    ----------
    folder : Path
    dtype : numpy.dtype
        A row: its 'numbers', the 'codes' of its text, and its 'target'.
    counts : dict of str to int
        The number of rows of each file, by its name.
    """

    folder: Path
    dtype: np.dtype[Any]
    counts: dict[str, int] = field(default_factory=dict)

    def read(self, name: str) -> NDArray[Any]:
        """Read the rows of a shard, in the order of the table."""
        return np.fromfile(self.folder / name, dtype=self.dtype)

    def mapped(self, name: str) -> NDArray[Any]:
        """Return the rows of a shard, of which those that are looked at are read."""
        return np.memmap(self.folder / name, dtype=self.dtype, mode="r")

    def names(self, purpose: str) -> list[str]:
        """List the shards for 'train', 'validation' or 'test' that have rows."""
        return [name for name in sorted(self.counts) if name.startswith(purpose)]


def number_of_shards(n_rows: int, n_inputs: int) -> int:
    """Return how many shards rows are dealt to, which follows from the data alone: a power of 2.

    There are 16 at least, but fewer where they would have less than 1000 rows, and so many that
    the inputs of each take at most 64 MiB.
    """
    wanted = max(_FEWEST_SHARDS, -(-n_rows * n_inputs * 4 // _BYTES_OF_INPUTS))
    wanted = min(wanted, max(1, n_rows // _FEWEST_ROWS)) if wanted == _FEWEST_SHARDS else wanted
    return 1 << (wanted - 1).bit_length()


def row_type(n_numbers: int, n_levels: list[int], is_class: bool) -> np.dtype[Any]:
    """Return the type of a row: numbers as they were read, and codes as small as they can be."""
    largest = max(n_levels, default=0)
    code = next(t for t in (np.uint8, np.uint16, np.int32) if largest <= np.iinfo(t).max)
    return np.dtype(
        [
            ("numbers", np.float64, (n_numbers,)),
            ("codes", code, (len(n_levels),)),
            ("target", np.int32 if is_class else np.float64),
        ]
    )


@dataclass(frozen=True)
class Deal:
    """How rows are dealt to shards, by their numbers in the table.

    Parameters
    ----------
    n_shards : int
    seed : int
    test_size : float
        The share of all rows that go to the test.
    validation_size : float
        The share of the others that validate.
    """

    n_shards: int
    seed: int
    test_size: float = 0.0
    validation_size: float = 0.0

    def places(self, first_row: int, count: int) -> dict[str, NDArray[np.intp]]:
        """Tell which shard gets which of some rows that follow each other in the table.

        Parameters
        ----------
        first_row : int
            Number of the first of the rows in the table, counted from 0.
        count : int

        Returns
        -------
        dict of str to ndarray of int
            The places of the rows among these, in their order, by the name of the shard. Some may
            be empty.
        """
        draw: Callable[[Purpose], NDArray[np.uint64]] = lambda purpose: drawn(  # noqa: E731
            first_row, count, self.seed, purpose
        )
        is_test = are_within(draw(Purpose.TEST), self.test_size)
        validates = are_within(draw(Purpose.VALIDATION), self.validation_size) & ~is_test
        place = (draw(Purpose.SHARD) & np.uint64(self.n_shards - 1)).astype(np.intp)
        is_trained = ~(is_test | validates)
        order = np.flatnonzero(is_trained)[np.argsort(place[is_trained], kind="stable")]
        ends = np.searchsorted(place[order], np.arange(self.n_shards + 1))
        found = {"test": np.flatnonzero(is_test), "validation": np.flatnonzero(validates)}
        for shard, name in enumerate(self.names()):
            found[name] = order[ends[shard] : ends[shard + 1]]
        return found

    def names(self) -> list[str]:
        """List the names of the shards that networks are trained on."""
        return [f"train-{shard:05d}" for shard in range(self.n_shards)]


class ShardWriter:
    """Writes rows to their shards.

    Parameters
    ----------
    folder : Path
    dtype : numpy.dtype
    deal : Deal
    """

    def __init__(self, folder: Path, dtype: np.dtype[Any], deal: Deal) -> None:
        self.shards, self._deal = Shards(folder, dtype), deal

    def add(self, first_row: int, rows: NDArray[Any]) -> None:
        """Write rows that follow each other in the table to their shards.

        Raises
        ------
        InputError
            When the disk is full, or cannot be written.
        """
        for name, places in self._deal.places(first_row, len(rows)).items():
            self._write(name, rows[places])

    def _write(self, name: str, rows: NDArray[Any]) -> None:
        if not len(rows):
            return
        shards = self.shards
        try:
            with open(shards.folder / name, "ab") as file:
                rows.tofile(file)
        except OSError as error:
            why = error.strerror or os.strerror(error.errno) if error.errno else str(error)
            raise InputError(
                f"the rows cannot be written to {shards.folder.parent}: {why}; `cache` names a "
                "folder with more room"
            ) from None
        shards.counts[name] = shards.counts.get(name, 0) + len(rows)
