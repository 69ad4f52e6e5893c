"""The ring: each network visits the shards in an order of its own, all networks at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..exceptions import warn_user
from ..streaming.course import Course
from ..streaming.keeping import KeptCourses
from ..streaming.training import StreamedNetwork
from . import tasks
from .clients import Completed, send

Told = Callable[[str, float], None]


@dataclass(eq=False)
class _Traveller:
    """A network in training.

    Attributes
    ----------
    course : Course
    given : Future
        The network as it was begun.
    n_visits : int
        The number of visits that are done.
    """

    course: Course
    given: Any
    n_visits: int


class Ring:
    """Trains networks by visits on a cluster.

    Parameters
    ----------
    client : distributed.Client
    networks : list of StreamedNetwork
    seeds : list of int
    shards : list of Future
        Each of a :class:`fastmlp.engines.engine.Data`.
    held : Future or None
        The rows that validate.
    told : callable or None
        ``told(what, share)`` is called after each visit.
    kept : KeptCourses
        It keeps in a checkpoint where networks are at the end of an epoch.
    """

    def __init__(
        self,
        client: Any,
        networks: list[StreamedNetwork],
        seeds: list[int],
        shards: list[Any],
        held: Any,
        told: Told | None,
        kept: KeptCourses,
    ) -> None:
        self._client, self._shards, self._held, self._told = client, shards, held, told
        self._kept = kept
        self._completed = Completed(client)
        # By the future of a visit its network, and whether it is the last of an epoch.
        self._running: dict[Any, tuple[_Traveller, bool]] = {}
        self._travellers = []
        for streamed, seed in zip(networks, seeds, strict=True):
            course = kept.begin(streamed, len(shards), seed)
            n_visits = course.n_epochs * len(shards) + course.carried.n_visits
            given = send(client, tasks.given, streamed)
            self._travellers.append(_Traveller(course, given, n_visits))

    def train(self) -> tuple[bool, bool]:
        """Train until no network gets better.

        Returns
        -------
        converged, interrupted : bool

        Raises
        ------
        DivergenceError
            When a loss is not finite.
        ClusterError
            When the cluster is lost.
        """
        interrupted = False
        with self._kept.signals(interrupts=True), self._kept.until_it_fails():
            try:
                for traveller in self._travellers:
                    self._send(traveller)
                for future in self._completed:
                    self._arrived(future)
            except KeyboardInterrupt:
                interrupted = True
                self._kept.interrupted()
            finally:
                for future in self._running:
                    future.release()
                self._running.clear()
        for traveller in self._travellers:
            if traveller.course.n_epochs:
                traveller.course.finish()
        return all(one.course.converged for one in self._travellers), interrupted

    def _send(self, traveller: _Traveller) -> None:
        """Send a network on its way through an epoch."""
        from dask import config

        course = traveller.course
        if self._held is None and course.carried.n_visits == len(self._shards):
            # The checkpoint of a stream may be of the moment between the last visit and the end.
            course.end_round(course.carried, None)
        if course.is_over:
            return
        number, rate, order = course.next_round()
        carried: Any = course.carried
        # The weights travel with the first visit, so that no worker's loss loses them.
        with config.set({"distributed.admin.large-graph-warning-threshold": "1TB"}):
            for i, shard in enumerate(order):
                carried = send(
                    self._client,
                    tasks.visit_shard,
                    self._shards[shard],
                    traveller.given,
                    carried,
                    course.seed_of(number, shard),
                    rate,
                )
                self._wait_for(carried, traveller, self._held is None and i + 1 == len(order))
        if self._held is not None:
            scored = send(self._client, tasks.score, traveller.given, self._held, carried)
            self._wait_for(scored, traveller, True)

    def _wait_for(self, future: Any, traveller: _Traveller, is_last: bool) -> None:
        self._running[future] = traveller, is_last
        self._completed.add(future)

    def _arrived(self, future: Any) -> None:
        """Note that a visit is done; at the end of an epoch the network is sent again."""
        traveller, is_last = self._running.pop(future)
        if future.status != "finished":
            future.result()
        if not is_last or self._held is None:
            traveller.n_visits += 1
            if self._told is not None:
                self._told(*self._progress())
        if is_last:
            carried, score = (future.result(), None) if self._held is None else future.result()
            traveller.course.end_round(carried, score)
            self._send(traveller)
            self._kept.step_ends()

    def _progress(self) -> tuple[str, float]:
        """Return the epoch of the slowest network, and the share of the visits that are done."""
        n_shards = len(self._shards)
        going = [one.n_visits for one in self._travellers if not one.course.is_over]
        number = max(0, min(going, default=0) - 1) // n_shards
        done = sum(min(n - number * n_shards, n_shards) for n in going)
        return f"epoch {number + 1}", done / max(1, n_shards * len(going))


def remark_on_speed(client: Any, n_networks: int) -> None:
    """Warn that a single network visits one shard at a time."""
    if n_networks == 1 and len(client.nthreads()) > 1:
        warn_user(
            "a single network visits one shard after the other, which several workers do no "
            "faster; with members=8 as many networks are trained at once"
        )
