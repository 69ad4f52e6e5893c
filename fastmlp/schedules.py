"""Learning-rate schedules, which choose the learning rate of each epoch.

A schedule is a frozen object that has settings alone, so that several estimators may have the same
one, and estimators can be cloned and compared. What changes during a fit is in a
:class:`LearningRate`.
"""

from dataclasses import dataclass
from math import cos, inf, isnan, log2, nan, pi
from numbers import Integral

_SMALLEST_ADAPTIVE_RATE = 1e-6
_ADAPTIVE_DIVISOR = 5.0
_MOST_CYCLES = 50


@dataclass
class LearningRate:
    """The state of a schedule during a fit.

    Parameters
    ----------
    schedule : Schedule
    initial : float
        ``learning_rate_init``.
    horizon : int
        Number of epochs that the whole schedule takes.
    learning_rate : float
        Rate of the next epoch; NaN, the default, stands for the schedule's first rate.
    epoch : int
        Number of completed epochs.
    n_samples_seen : int
        Number of rows trained on, once for each epoch, those of earlier fits included.
    best : float
        Smallest value so far of the number that epochs are judged by; see :meth:`epoch_ends`.
    waited : int
        Number of latest epochs in a row without an improvement of `best`.
    waited_at_rate : int
        Number of those epochs that had the current learning rate.
    """

    schedule: "Schedule"
    initial: float
    horizon: int = 1
    learning_rate: float = nan
    epoch: int = 0
    n_samples_seen: int = 0
    best: float = inf
    waited: int = 0
    waited_at_rate: int = 0

    def __post_init__(self) -> None:
        if isnan(self.learning_rate):
            self.learning_rate = self.initial
            self.learning_rate = self._checked(self.schedule.first_rate(self))

    @property
    def is_constant(self) -> bool:
        """Whether the rate never changes, so that :meth:`epoch_ends` need not be called."""
        return type(self.schedule) is Constant

    def epoch_ends(
        self, n_samples_seen: int, watched: float | None = None, tol: float = 0.0
    ) -> None:
        """Set the rate of the next epoch.

        Parameters
        ----------
        n_samples_seen : int
            Number of rows trained on so far.
        watched : float or None
            The number that the epoch is judged by: the smaller the better. It is infinite for an
            epoch that nobody has judged, which is no improvement.
        tol : float
            Only a change by more than this counts as an improvement.
        """
        self.epoch += 1
        self.n_samples_seen = n_samples_seen
        if watched is not None:
            has_improved = watched < self.best - tol
            self.waited = 0 if has_improved else self.waited + 1
            self.waited_at_rate = 0 if has_improved else self.waited_at_rate + 1
            self.best = min(self.best, watched)
        self._change(self._checked(self.schedule.next_rate(self)))

    @property
    def is_judged(self) -> bool:
        """Whether early stopping judges the epoch that has just been run with the current rate."""
        return self.schedule.is_judged(self)

    @property
    def is_over(self) -> bool:
        """Whether early stopping ends training with the epoch that has just ended."""
        return self.schedule.is_over(self)

    def _change(self, rate: float) -> None:
        """Set the rate, and count epochs at this rate from 0 if it is a new one."""
        if rate != self.learning_rate:
            self.waited_at_rate = 0
        self.learning_rate = rate

    def _checked(self, rate: float) -> float:
        if not 0 <= rate < inf:
            raise ValueError(f"{self.schedule} gives the learning rate {rate} for an epoch")
        return rate

    def on_plateau(self) -> bool:
        """Set the rate with which to go on when training no longer improves, if there is one.

        Returns
        -------
        bool
            Whether training goes on.
        """
        rate = self.schedule.rate_on_plateau(self.learning_rate)
        if rate is None:
            return False
        self._change(rate)
        return True


@dataclass(frozen=True)
class Schedule:
    """Base class of all schedules, with the constant rate ``learning_rate_init``.

    To write a schedule, derive a frozen dataclass from this class and override a method. The
    methods must not change the :class:`LearningRate` that they are given.
    """

    def first_rate(self, state: LearningRate) -> float:
        """Choose the rate of the first epoch.

        Parameters
        ----------
        state : LearningRate
            The state of a fit that begins; its `learning_rate` is the initial one.

        Returns
        -------
        float
        """
        return state.initial

    def next_rate(self, state: LearningRate) -> float:
        """Choose the rate after an epoch.

        Parameters
        ----------
        state : LearningRate
            The state after that epoch, whose rate is still its `learning_rate`.

        Returns
        -------
        float
        """
        return state.learning_rate

    def rate_on_plateau(self, learning_rate: float) -> float | None:
        """Choose the rate with which to go on when training stalls.

        Parameters
        ----------
        learning_rate : float
            Rate of the last epoch.

        Returns
        -------
        float or None
            None ends training.
        """
        return None

    def is_judged(self, state: LearningRate) -> bool:
        """Tell whether early stopping scores an epoch, which it always does by default.

        Parameters
        ----------
        state : LearningRate
            The state before that epoch, of which `learning_rate` is its rate.

        Returns
        -------
        bool
            An epoch that is not scored has no validation score, and its weights are not kept.
        """
        return True

    def is_over(self, state: LearningRate) -> bool:
        """Tell whether early stopping ends training after an epoch, beside its own reasons.

        Parameters
        ----------
        state : LearningRate
            The state after that epoch, with the rate of the next one.

        Returns
        -------
        bool
        """
        return False

    @property
    def has_horizon(self) -> bool:
        """Whether the schedule ends after ``max_iter`` epochs.

        A fit that takes that many epochs then is complete, and gives no ConvergenceWarning.
        """
        return False


@dataclass(frozen=True)
class Constant(Schedule):
    """Keep the learning rate at ``learning_rate_init``."""


@dataclass(frozen=True)
class InverseScaling(Schedule):
    r"""``learning_rate_init / (t + 1)**power_t``, where t is the number of rows trained on so far.

    Stochastic gradient descent converges if its rates satisfy :math:`\sum_t \eta_t = \infty`, so
    that it can reach any point, and :math:`\sum_t \eta_t^2 < \infty`, so that the noise of the
    gradients averages out (Robbins and Monro, 1951). Both hold for ``1/2 < power_t <= 1``. The
    default is scikit-learn's, at the edge of this interval.

    Parameters
    ----------
    power_t : float, default=0.5
        The exponent, at least 0.
    """

    power_t: float = 0.5

    def __post_init__(self) -> None:
        _require(self.power_t >= 0, "power_t must not be negative", self)

    def next_rate(self, state: LearningRate) -> float:
        divisor: float = (state.n_samples_seen + 1) ** self.power_t
        return state.initial / divisor


@dataclass(frozen=True)
class Adaptive(Schedule):
    """Divide the rate by five whenever training stalls; stop once it is at most 1e-6.

    The estimator's ``n_iter_no_change`` and ``tol`` determine when training has stalled.
    """

    def rate_on_plateau(self, learning_rate: float) -> float | None:
        if learning_rate <= _SMALLEST_ADAPTIVE_RATE:
            return None
        return learning_rate / _ADAPTIVE_DIVISOR


@dataclass(frozen=True)
class Plateau(Schedule):
    """Lower the rate when the validation score, or else the loss, stops improving.

    Epochs are judged by the score of early stopping. Without early stopping they are judged by the
    loss of ``eval_set``, and without that by the training loss. Only a change by more than the
    estimator's ``tol`` counts as an improvement. Training still ends after ``n_iter_no_change``
    epochs in a row without an improvement; raise that number where the rate shall fall several
    times.

    Parameters
    ----------
    factor : float, default=0.1
        The factor by which the rate falls, in (0, 1).
    patience : int, default=5
        The rate falls after more than this many epochs in a row without an improvement, and again
        after as many more.
    min_rate : float, default=1e-6
        The rate does not fall below this one.
    """

    factor: float = 0.1
    patience: int = 5
    min_rate: float = 1e-6

    def __post_init__(self) -> None:
        _require(0 < self.factor < 1, "factor must be between 0 and 1", self)
        _require(self.patience >= 0, "patience must not be negative", self)
        _require(self.min_rate >= 0, "min_rate must not be negative", self)

    def next_rate(self, state: LearningRate) -> float:
        if state.waited_at_rate <= self.patience:
            return state.learning_rate
        # The outer minimum keeps a rate that has been below min_rate from the start.
        return min(state.learning_rate, max(state.learning_rate * self.factor, self.min_rate))


@dataclass(frozen=True)
class Step(Schedule):
    """``learning_rate_init * factor**(e // every)`` after e epochs.

    Parameters
    ----------
    every : int, default=10
        Number of epochs after which the rate falls.
    factor : float, default=0.5
        The factor by which it falls, in (0, 1].
    """

    every: int = 10
    factor: float = 0.5

    def __post_init__(self) -> None:
        is_integer = isinstance(self.every, Integral) and self.every >= 1
        _require(is_integer, "every must be an integer of at least 1", self)
        _require(0 < self.factor <= 1, "factor must be above 0 and at most 1", self)

    def next_rate(self, state: LearningRate) -> float:
        return state.initial * self.factor ** (state.epoch // self.every)


@dataclass(frozen=True)
class Cosine(Schedule):
    r"""Lower the rate from ``learning_rate_init`` to `min_rate` along half a cosine.

    After e of n = ``max_iter`` epochs the rate is :math:`m + (\eta - m) (1 + \cos(\pi e / n)) / 2`,
    where m is `min_rate` and :math:`\eta` the initial rate (Loshchilov and Hutter, 2017, without
    restarts). Set ``n_iter_no_change=np.inf`` so that training does not end before the schedule.

    Parameters
    ----------
    min_rate : float, default=0
        The last rate, at most ``learning_rate_init``.
    """

    min_rate: float = 0.0

    def __post_init__(self) -> None:
        _require(self.min_rate >= 0, "min_rate must not be negative", self)

    def first_rate(self, state: LearningRate) -> float:
        if self.min_rate > state.initial:
            raise ValueError(
                f"{self} ends above the initial rate; raise learning_rate_init={state.initial}, "
                "or lower min_rate"
            )
        return state.initial

    def next_rate(self, state: LearningRate) -> float:
        done = min(1.0, state.epoch / state.horizon)
        return _along_cosine(state.initial, self.min_rate, done)

    @property
    def has_horizon(self) -> bool:
        return True


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Raise the rate to its peak ``learning_rate_init``, and lower it (Smith and Topin, 2019).

    The rate rises along half a cosine from ``start_factor * peak`` during the share `warmup` of the
    epochs. During the others it falls along half a cosine to ``end_factor * peak`` in the last
    epoch. Set ``n_iter_no_change=np.inf`` so that training does not end before the schedule.

    Parameters
    ----------
    warmup : float, default=0.3
        Share of the epochs during which the rate rises, in [0, 1).
    start_factor : float, default=1/25
        First rate as a share of the peak, in (0, 1].
    end_factor : float, default=1e-4
        Last rate as a share of the peak, in [0, 1].
    """

    warmup: float = 0.3
    start_factor: float = 1 / 25
    end_factor: float = 1e-4

    def __post_init__(self) -> None:
        _require(0 <= self.warmup < 1, "warmup must be at least 0 and below 1", self)
        _require(0 < self.start_factor <= 1, "start_factor must be above 0 and at most 1", self)
        _require(0 <= self.end_factor <= 1, "end_factor must be between 0 and 1", self)

    def first_rate(self, state: LearningRate) -> float:
        return self.next_rate(state)

    def next_rate(self, state: LearningRate) -> float:
        peak, done = state.initial, min(1.0, state.epoch / max(1, state.horizon - 1))
        if done < self.warmup:
            return _along_cosine(self.start_factor * peak, peak, done / self.warmup)
        return _along_cosine(peak, self.end_factor * peak, (done - self.warmup) / (1 - self.warmup))

    @property
    def has_horizon(self) -> bool:
        return True


@dataclass(frozen=True)
class MultiCycle(Schedule):
    r"""Raise and lower the rate in cycles, each of them about twice as long as the one before.

    In the middle of epoch e of n = ``max_iter``, :math:`t = (e + 1/2) / n`, the rate is
    :math:`\eta\, (1 - \cos(2 \pi \log_2(1 + (2^c - 1)\, t))) / 2` for c cycles, where
    :math:`\eta` is the initial rate. This is the schedule 'coslog' of RealMLP (Holzmüller et al.,
    2024).

    Early stopping keeps weights of a valley between two cycles: it scores an epoch only where the
    rate is at most half its peak, and the last one of each cycle. Training ends with a cycle that
    has brought no better score than those before. Set ``n_iter_no_change=np.inf`` so that it does
    not end within a cycle.

    Parameters
    ----------
    cycles : int, default=4
        Number of cycles, from 1 to 50.
    """

    cycles: int = 4

    def __post_init__(self) -> None:
        is_number = isinstance(self.cycles, Integral) and 1 <= self.cycles <= _MOST_CYCLES
        _require(is_number, f"cycles must be an integer from 1 to {_MOST_CYCLES}", self)

    def first_rate(self, state: LearningRate) -> float:
        return self.next_rate(state)

    def next_rate(self, state: LearningRate) -> float:
        return state.initial * (1 - cos(2 * pi * self._reached(state.epoch, state.horizon))) / 2

    def is_judged(self, state: LearningRate) -> bool:
        is_low = state.learning_rate <= state.initial / 2
        return is_low or self._is_last_of_cycle(state.epoch, state.horizon)

    def is_over(self, state: LearningRate) -> bool:
        last = state.epoch - 1
        if not self._is_last_of_cycle(last, state.horizon):
            return False
        cycle, first = self._cycle(last, state.horizon), last
        while first > 0 and self._cycle(first - 1, state.horizon) == cycle:
            first -= 1
        return state.waited > last - first

    def _reached(self, epoch: int, horizon: int) -> float:
        """Return the number of cycles that are over in the middle of an epoch, with a fraction."""
        done = min(1.0, (epoch + 0.5) / horizon)
        return log2(1 + (2**self.cycles - 1) * done)

    def _cycle(self, epoch: int, horizon: int) -> int:
        return int(self._reached(epoch, horizon))

    def _is_last_of_cycle(self, epoch: int, horizon: int) -> bool:
        return self._cycle(epoch, horizon) < self._cycle(epoch + 1, horizon)

    @property
    def has_horizon(self) -> bool:
        return True


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "invscaling": InverseScaling,
    "adaptive": Adaptive,
    "plateau": Plateau,
    "step": Step,
    "cosine": Cosine,
    "one_cycle": OneCycle,
    "multi_cycle": MultiCycle,
}


def schedule_for(name: str | Schedule, power_t: float) -> Schedule:
    """Make the schedule that a name stands for, with default settings except for `power_t`.

    Parameters
    ----------
    name : str or Schedule
        A name in ``SCHEDULES``; a schedule is returned as it is.
    power_t : float
        Exponent of 'invscaling'.

    Returns
    -------
    Schedule
    """
    if isinstance(name, Schedule):
        return name
    return InverseScaling(power_t) if name == "invscaling" else SCHEDULES[name]()


def _along_cosine(start: float, end: float, done: float) -> float:
    """Interpolate between two numbers along half a cosine, where `done` goes from 0 to 1."""
    return end + (start - end) * (1 + cos(pi * done)) / 2


def _require(condition: bool, message: str, schedule: Schedule) -> None:
    if not condition:
        raise ValueError(f"{message}, got {schedule}")
