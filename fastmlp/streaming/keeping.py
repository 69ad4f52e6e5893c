"""Checkpoints of training over shards: when they are written, and what is said of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from ..exceptions import ClusterError, DivergenceError
from ..training.keeping import Pace, Place
from ..training.signals import WaitingSignals
from .course import Course


class KeptCourses:
    """Keeps the courses of some networks in a checkpoint; without one, it does nothing.

    Parameters
    ----------
    place : Place or None, default=None
        That of the whole fit; None where there is no checkpoint.
    make_model : callable, optional
        ``make_model(networks)`` makes the model so far of copies of networks, each of which has
        had an epoch.
    """

    def __init__(
        self,
        place: Place | None = None,
        make_model: Callable[[list[Any]], Any] = lambda networks: None,
    ) -> None:
        self._place, self._courses = place, list[Course]()
        self._signals = WaitingSignals()
        if place is not None:
            self._pace = Pace(place.keeper)

            def so_far() -> Any:
                begun = [course for course in self._courses if course.n_epochs]
                return make_model([one.network_so_far() for one in begun]) if begun else None

            place.offer_model(so_far)

    def begin(self, streamed: Any, n_shards: int, seed: int) -> Course:
        """Begin the course of the next network, or go on with it."""
        resumed = None if self._place is None else self._place_of(len(self._courses)).state
        course = Course(streamed, n_shards, seed, resumed)
        self._courses.append(course)
        return course

    def _place_of(self, number: int) -> Place:
        assert self._place is not None
        return self._place.inside(f"network {number + 1}")

    def signals(self, interrupts: bool = False) -> Any:
        """Return the context of training; see :class:`WaitingSignals`."""
        if self._place is None:
            return nullcontext()
        self._signals = WaitingSignals(interrupts)
        return self._signals

    def step_ends(self) -> None:
        """Write the file if it is due, or if a signal has waited for that, which then acts."""
        if self._place is None:
            return
        has_come = self._signals.received is not None
        if self._pace.step_ends() or has_come:
            self._write()
        if has_come:
            self._signals.act()

    @contextmanager
    def until_it_fails(self) -> Iterator[None]:
        """Write the file where an error ends the training in the block."""
        try:
            yield
        except BaseException:
            self.interrupted()
            raise

    def interrupted(self) -> None:
        """Write the file of a training that ends before its time, which then stays."""
        if self._place is not None:
            self._place.keeper.is_interrupted = True
            self._write()

    def _write(self) -> None:
        assert self._place is not None
        for number, course in enumerate(self._courses):
            if course.has_begun and (state := course.state()) is not None:
                self._place.keeper.keep(self._place_of(number).name, state)
        self._pace.write()


@contextmanager
def told_of_file(place: Place | None) -> Iterator[None]:
    """Say in errors of training what the checkpoint is good for, if there is one.

    Parameters
    ----------
    place : Place or None
        That of the whole fit.
    """
    try:
        yield
    except ClusterError as error:
        if place is None or not place.keeper.has_file:
            raise
        raise ClusterError(f"{error}; the same call goes on with {place.keeper.shown}") from None
    except DivergenceError as error:
        model = None if place is None else place.keeper.model
        if place is not None and place.keeper.has_file and model is not None and model():
            error.args = (
                f"{error} {place.keeper.shown} has the epochs before, of which fastmlp export "
                "makes a model.",
            )
        raise
