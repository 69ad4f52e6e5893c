"""Rows that parts of a table give to shards: few tasks, however many parts and shards there are."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from ..streaming.statistics import Told
from . import tasks
from .clients import results_of, send

# A shard takes its rows from each group of parts by one task. Dask's scheduler needs about a
# millisecond for a task, so these take half a minute at most.
_MOST_TAKEN = 2**15


def groups_of(first_rows: Sequence[int], n_rows: int, n_shards: int) -> list[list[int]]:
    """Divide parts into groups of about as many rows, which follow each other.

    There are at most twice as many groups as shards, since smaller groups save no memory, and so
    few that groups times shards stay within what a scheduler can do.

    Parameters
    ----------
    first_rows : sequence of int
        The number of the first row of each part.
    n_rows, n_shards : int

    Returns
    -------
    list of list of int
        The numbers of the parts of each group.
    """
    n_groups = max(1, min(2 * n_shards, _MOST_TAKEN // n_shards))
    numbers = range(len(first_rows))
    if len(numbers) <= n_groups:
        return [[number] for number in numbers]

    def group_of(number: int) -> int:
        return min(n_groups - 1, first_rows[number] * n_groups // max(1, n_rows))

    return [list(group) for _, group in groupby(numbers, group_of)]


class Dealt:
    """The rows of all parts, by their shards.

    Parameters
    ----------
    client : distributed.Client
    parts : list of Future
        What each part gives to shards, as from :func:`fastmlp.cluster.tasks.deal`. The list is
        emptied, so that what has been merged leaves the memory of the workers.
    first_rows : list of int
        The number of the first row of each part.
    n_rows, n_shards : int
    told : callable or None, default=None

    Attributes
    ----------
    counts : list of dict of str to int
        How many rows each group of parts gives to the shards, by their names.
    """

    def __init__(
        self,
        client: Any,
        parts: list[Any],
        first_rows: list[int],
        n_rows: int,
        n_shards: int,
        told: Told | None = None,
    ) -> None:
        self._client = client
        groups = groups_of(first_rows, n_rows, n_shards)
        self._first_rows = [first_rows[group[0]] for group in groups]
        self._groups = [
            send(client, tasks.merge, [parts[number] for number in group])
            if len(group) > 1
            else parts[group[0]]
            for group in groups
        ]
        parts.clear()
        counting = [send(client, tasks.counts, group) for group in self._groups]
        self.counts = results_of(client, counting, told, "writing shards")

    def total(self) -> dict[str, int]:
        """Return how many rows each shard has that has some."""
        found: dict[str, int] = {}
        for counts in self.counts:
            for name, count in counts.items():
                found[name] = found.get(name, 0) + count
        return found

    def rows_of(self, name: str) -> list[Any]:
        """Return futures of the rows of a shard, in their order; see :func:`tasks.take`."""
        return [
            send(self._client, tasks.take, group, name)
            for group, counts in zip(self._groups, self.counts, strict=True)
            if name in counts
        ]

    def each(self, task: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return what ``task(*arguments, group, first_row)`` gives for each group of parts."""
        numbered = zip(self._groups, self._first_rows, strict=True)
        return results_of(
            self._client, [send(self._client, task, *arguments, *one) for one in numbered]
        )

    def forget(self) -> None:
        """Leave the memory of the workers to the shards, when all rows have been asked for."""
        self._groups.clear()
