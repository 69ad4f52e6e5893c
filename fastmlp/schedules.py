"""Learning-rate schedules: one number for each epoch, decided on the host.

A schedule is a frozen object with settings alone, so that an estimator may share it, clone it and
be compared by it; what changes in the course of a fit is a :class:`LearningRate`.
"""

from dataclasses import dataclass
from math import cos, inf, isnan, nan, pi
from numbers import Integral

_SMALLEST_ADAPTIVE_RATE = 1e-6
_ADAPTIVE_DIVISOR = 5.0


@dataclass
class LearningRate:
    """A schedule in the course of a fit.

    Parameters
    ----------
    schedule : Schedule
    initial : float
        ``learning_rate_init``.
    horizon : int
        Epochs that the whole schedule takes.
    learning_rate : float
        Rate of the next epoch; NaN, the default, becomes the schedule's first one.
    epoch : int
        Epochs done.
    n_samples_seen : int
        Rows seen, those of earlier fits included.
    best : float
        Smallest value of what is watched.
    waited : int
        Epochs in a row without an improvement on it.
    waited_at_rate : int
        Those of them with the current learning rate.
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
        """Whether the rate never changes, so that nothing has to be counted."""
        return type(self.schedule) is Constant

    def epoch_ends(
        self, n_samples_seen: int, watched: float | None = None, tol: float = 0.0
    ) -> None:
        """Set the rate of the next epoch.

        Parameters
        ----------
        n_samples_seen : int
            Rows seen so far.
        watched : float or None
            What the epoch is judged by, smaller being better.
        tol : float
            An improvement is larger than this.
        """
        self.epoch += 1
        self.n_samples_seen = n_samples_seen
        if watched is not None:
            has_improved = watched < self.best - tol
            self.waited = 0 if has_improved else self.waited + 1
            self.waited_at_rate = 0 if has_improved else self.waited_at_rate + 1
            self.best = min(self.best, watched)
        self._change(self._checked(self.schedule.next_rate(self)))

    def _change(self, rate):
        """Set the rate, and begin to count anew where it is another one."""
        if rate != self.learning_rate:
            self.waited_at_rate = 0
        self.learning_rate = rate

    def _checked(self, rate: float) -> float:
        if not 0 <= rate < inf:
            raise ValueError(f"{self.schedule} gives the learning rate {rate} for an epoch")
        return rate

    def on_plateau(self) -> bool:
        """React to training that no longer improves.

        Returns
        -------
        bool
            Whether to go on, with the rate that is set now, instead of stopping.
        """
        rate = self.schedule.rate_on_plateau(self.learning_rate)
        if rate is None:
            return False
        self._change(rate)
        return True


@dataclass(frozen=True)
class Schedule:
    """What all schedules share. The rate begins with ``learning_rate_init`` and stays.

    A schedule of your own is a frozen dataclass that inherits this one and overrides a method.
    Methods read the :class:`LearningRate` that they are given, and do not change it.
    """

    def first_rate(self, state: LearningRate) -> float:
        """Choose the rate of the first epoch.

        Parameters
        ----------
        state : LearningRate
            Of a fit that begins; its `learning_rate` is the initial one.

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
            Counts that epoch already; its `learning_rate` is the rate of that epoch.

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
            None to stop.
        """
        return None

    @property
    def has_horizon(self) -> bool:
        """Whether it ends with ``max_iter`` epochs, which then are no lack of convergence."""
        return False


@dataclass(frozen=True)
class Constant(Schedule):
    """The same learning rate throughout: ``learning_rate_init``."""


@dataclass(frozen=True)
class InverseScaling(Schedule):
    r"""``learning_rate_init / (t + 1)**power_t``, where t counts the rows seen so far.

    Steps whose lengths satisfy :math:`\sum_t \eta_t = \infty` (so that any distance can be gone)
    and :math:`\sum_t \eta_t^2 < \infty` (so that the noise of the gradients averages out) make
    stochastic gradient descent converge (Robbins and Monro, 1951). That is
    ``1/2 < power_t <= 1``; the default, scikit-learn's, is at the edge.

    Parameters
    ----------
    power_t : float, default=0.5
        Not negative.
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

    Training stalls as ``n_iter_no_change`` and ``tol`` of the estimator say.
    """

    def rate_on_plateau(self, learning_rate: float) -> float | None:
        if learning_rate <= _SMALLEST_ADAPTIVE_RATE:
            return None
        return learning_rate / _ADAPTIVE_DIVISOR


@dataclass(frozen=True)
class Plateau(Schedule):
    """Lower the rate where the validation part, else the training loss, stops improving.

    It watches the score of early stopping, or else the loss of ``eval_set``, or else the training
    loss. An improvement is larger than the estimator's ``tol``. Training still ends after
    ``n_iter_no_change`` epochs in a row without improvement: raise it where the rate should fall
    several times.

    Parameters
    ----------
    factor : float, default=0.1
        What the rate is multiplied by, in (0, 1).
    patience : int, default=5
        The rate falls after more than this many epochs in a row without an improvement, and then
        waits as long again.
    min_rate : float, default=1e-6
        The rate does not fall below.
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
        # Written so that a rate that is smaller from the start does not rise.
        return min(state.learning_rate, max(state.learning_rate * self.factor, self.min_rate))


@dataclass(frozen=True)
class Step(Schedule):
    """``learning_rate_init * factor**(e // every)`` after e epochs.

    Parameters
    ----------
    every : int, default=10
    factor : float, default=0.5
        In (0, 1].
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
    r"""From ``learning_rate_init`` down to `min_rate` along half a cosine.

    After e of ``max_iter`` epochs the rate is :math:`m + (\eta - m) (1 + \cos(\pi e / n)) / 2`,
    with m the least rate, :math:`\eta` the initial one and n = ``max_iter`` (Loshchilov and
    Hutter, 2017, without restarts). Set ``n_iter_no_change=np.inf`` to see it through.

    Parameters
    ----------
    min_rate : float, default=0
        Not above ``learning_rate_init``.
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
    """Up to ``learning_rate_init``, the peak, and down again (Smith and Topin, 2019).

    Both ways are half cosines: from ``start_factor * peak`` in the share `warmup` of the epochs,
    and to ``end_factor * peak`` in the last one. Set ``n_iter_no_change=np.inf`` to see it
    through.

    Parameters
    ----------
    warmup : float, default=0.3
        In [0, 1).
    start_factor : float, default=1/25
        In (0, 1].
    end_factor : float, default=1e-4
        In [0, 1].
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


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "invscaling": InverseScaling,
    "adaptive": Adaptive,
    "plateau": Plateau,
    "step": Step,
    "cosine": Cosine,
    "one_cycle": OneCycle,
}


def schedule_for(name: str | Schedule, power_t: float) -> Schedule:
    """Make the schedule of a name, at its defaults but for the estimator's ``power_t``.

    Parameters
    ----------
    name : str or Schedule
        A schedule is returned as it is.
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
    """Interpolate between two numbers, by the share of the way that is done."""
    return end + (start - end) * (1 + cos(pi * done)) / 2


def _require(condition: bool, message: str, schedule: Schedule) -> None:
    if not condition:
        raise ValueError(f"{message}, got {schedule}")
