"""The course of one network's training: which visits an epoch has, and what follows from them.

Whoever makes the visits asks for the next epoch, and tells how it has ended. So training is the
same wherever the visits are made.
"""

import copy
import time
from math import isfinite
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..engines.devices import open_engine
from ..engines.engine import Data
from ..estimators import records
from ..estimators.checkpoints import check_fits
from ..estimators.holdout import Rows, Validator
from ..exceptions import DivergenceError, InputError
from ..network import weights
from ..schedules import LearningRate, schedule_for
from ..training.checkpoint import TrainingState, record_of
from ..training.history import Epoch, History, add_epochs
from .visits import Carried, Position

if TYPE_CHECKING:
    from .training import StreamedNetwork


class Round(NamedTuple):
    """The visits of an epoch that are still to be made."""

    number: int
    """Number of the epoch, from 0."""
    rate: float
    """The learning rate."""
    order: list[int]
    """The numbers of the shards, in the order in which they are visited."""


class Course:
    """The training of one network, epoch by epoch.

    Parameters
    ----------
    streamed : StreamedNetwork
    n_shards : int
    seed : int
        It decides on the order of the visits.
    resumed : TrainingState or None, default=None
        Where training goes on, to the same bits; None begins it.

    Attributes
    ----------
    carried : Carried
        Where the network is in the next round. Whoever makes the visits may note each of them
        here, so that training can go on from it.
    position : Position
        Where the network was when the last epoch ended, or when training went on.
    converged : bool
        Whether training ends before the last epoch.

    Raises
    ------
    InputError
        When `resumed` is of another network.
    """

    def __init__(
        self,
        streamed: "StreamedNetwork",
        n_shards: int,
        seed: int,
        resumed: TrainingState | None = None,
    ) -> None:
        network, plan = streamed.network, streamed.plan
        kind = network.learning_rate if network.solver == "sgd" else "constant"
        self._schedule = LearningRate(
            schedule_for(network.lr_schedule or kind, network.power_t),
            network.learning_rate_init,
            network.max_iter,
        )
        self._history = records.continued(network, False)
        self._streamed, self._n_shards, self._seed = streamed, n_shards, seed
        self._epochs: list[Epoch] = []
        self._began = time.perf_counter()
        theta = weights.flatten(network.coefs_, network.intercepts_, plan.dtype)
        self.position = Position(theta)
        self.carried = Carried(self.position)
        self._is_judging = self.converged = False
        if resumed is not None:
            self._resume(resumed)

    def _resume(self, state: TrainingState) -> None:
        """Go back to what :meth:`state` has returned in another process."""
        check_fits(state, self.position.theta.size, np.empty(0, np.int64))
        if not 0 <= state.n_visits <= self._n_shards:
            raise InputError("the checkpoint is damaged: it has more visits than there are shards")
        self._epochs += state.epochs(self._streamed.network.max_iter)
        if self._epochs:
            self._began -= self._epochs[-1].seconds
        state.restore(self._history, self._schedule)
        memory = None
        if state.first is not None and state.second is not None:
            memory = state.step, state.first, state.second
        self.position = Position(state.theta, memory)
        self.carried = Carried(self.position, state.loss_sum, state.n_rows, state.n_visits)
        self.converged = state.is_over

    def state(self) -> TrainingState | None:
        """Return what training goes on from, after the visits that have been noted.

        Returns
        -------
        TrainingState or None
            It shares arrays that nobody changes. None while an epoch is judged, of which an
            interrupt has left a part.
        """
        if self._is_judging:
            return None
        position, total, n_rows, n_visits = self.carried
        step, first, second = position.memory or (0, None, None)
        state = TrainingState(
            theta=position.theta,
            step=step,
            first=first,
            second=second,
            **record_of(self._history, self._schedule, self._epochs),
            is_over=self.converged,
            n_visits=n_visits,
            loss_sum=total,
            n_rows=n_rows,
        )
        return state.small() if self.is_over else state

    @property
    def n_epochs(self) -> int:
        """The number of epochs that have ended."""
        return len(self._epochs)

    @property
    def has_begun(self) -> bool:
        """Whether a visit has been noted."""
        return bool(self._epochs or self.carried.n_visits)

    @property
    def is_over(self) -> bool:
        """Whether there is no further epoch."""
        return self.converged or len(self._epochs) >= self._streamed.network.max_iter

    def next_round(self) -> Round:
        """Return the visits of the next epoch, which changes nothing."""
        number = len(self._epochs)
        order = np.random.default_rng([self._seed, number]).permutation(self._n_shards)
        return Round(number, self._schedule.learning_rate, order[self.carried.n_visits :].tolist())

    def seed_of(self, number: int, shard: int) -> list[int]:
        """Return the seed of the visit to a shard in an epoch."""
        return [self._seed, number, shard]

    def end_round(self, reached: Carried, score: float | None) -> Epoch:
        """Note where the visits of an epoch have led to, and judge it.

        Parameters
        ----------
        reached : Carried
        score : float or None
            The score on the rows that validate, if there are any.

        Returns
        -------
        Epoch

        Raises
        ------
        DivergenceError
            When the loss is not finite.
        """
        network, number = self._streamed.network, len(self._epochs)
        loss, n_rows = reached.total / reached.n_rows, reached.n_rows
        if not (isfinite(loss) and np.isfinite(reached.position.theta).all()):
            raise DivergenceError(
                f"Training diverged in epoch {number + 1}: the loss is not finite. Choose a "
                "smaller learning_rate_init."
            )
        self._is_judging = True
        self.position = reached.position
        self.carried = Carried(self.position)
        history, schedule = self._history, self._schedule
        seconds = time.perf_counter() - self._began
        rate = schedule.learning_rate
        epoch = Epoch(number + 1, network.max_iter, loss, score, rate, seconds)
        history.n_samples_seen += int(n_rows)
        if history.judge(loss, score, network.tol):
            history.best_theta = reached.position.theta
        history.append(epoch)
        self._epochs.append(epoch)
        if not schedule.is_constant:
            watched = loss if score is None else -score
            schedule.epoch_ends(history.n_samples_seen, watched, network.tol)
        if history.no_improvement_count > network.n_iter_no_change:
            self.converged = not schedule.on_plateau()
            history.no_improvement_count = 0
        self._is_judging = False
        return epoch

    def finish(self) -> None:
        """Set the fitted attributes of the network."""
        add_epochs(self._history.numbers, self._epochs)
        self._set_fitted(self._streamed.network, self._history)

    def network_so_far(self) -> Any:
        """Return a copy of the network with the weights that training has reached."""
        network = copy.copy(self._streamed.network)
        self._set_fitted(network, self._history.followed_by(self._epochs))
        records.forget_curves(network)
        return network

    def _set_fitted(self, network: Any, history: History) -> None:
        plan, best = self._streamed.plan, history.best_theta
        theta = self.position.theta if best is None else best
        network.coefs_, network.intercepts_ = weights.views(theta.copy(), plan.layer_units)
        network.n_iter_ = len(self._epochs)
        records.keep(network, history, plan.layer_units)


def held_rows(streamed: "StreamedNetwork", X: np.ndarray, y: np.ndarray) -> Rows:
    """Return rows that validate in the form that :func:`score_of` needs."""
    return Rows(X, streamed.targets.encode(y), None, y, None)


def score_of(
    streamed: "StreamedNetwork", held: Rows, position: Position, n_jobs: int | None = None
) -> float:
    """Score a network on the rows that validate."""
    network = streamed.network
    data = Data(held.X, streamed.targets.to_train(held.Y))
    validate = Validator(network, streamed.targets, held, False)
    with open_engine(network.device, streamed.plan, position.theta, data, n_jobs=n_jobs) as engine:
        found = validate(engine).score
    assert found is not None
    return float(found)
