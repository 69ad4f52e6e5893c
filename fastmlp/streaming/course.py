"""The course of one network's training: which visits an epoch has, and what follows from them.

Whoever makes the visits asks for the next epoch, and tells how it has ended. So training is the
same wherever the visits are made.
"""

import time
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..engines.devices import open_engine
from ..engines.engine import Data
from ..estimators import records
from ..estimators.holdout import Rows, Validator
from ..exceptions import DivergenceError
from ..network import weights
from ..schedules import LearningRate, schedule_for
from ..training.history import Epoch, add_epochs
from .visits import Position

if TYPE_CHECKING:
    from .training import StreamedNetwork


class Round(NamedTuple):
    """The visits of an epoch."""

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

    Attributes
    ----------
    position : Position
        Where the network is after the last epoch that has ended.
    converged : bool
        Whether training ends before the last epoch.
    """

    def __init__(self, streamed: "StreamedNetwork", n_shards: int, seed: int) -> None:
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
        self.position = Position(weights.flatten(network.coefs_, network.intercepts_, plan.dtype))
        self.converged = False

    @property
    def n_epochs(self) -> int:
        """The number of epochs that have ended."""
        return len(self._epochs)

    @property
    def is_over(self) -> bool:
        """Whether there is no further epoch."""
        return self.converged or len(self._epochs) >= self._streamed.network.max_iter

    def next_round(self) -> Round:
        """Return the visits of the next epoch, which changes nothing."""
        number = len(self._epochs)
        order = np.random.default_rng([self._seed, number]).permutation(self._n_shards)
        return Round(number, self._schedule.learning_rate, order.tolist())

    def seed_of(self, number: int, shard: int) -> list[int]:
        """Return the seed of the visit to a shard in an epoch."""
        return [self._seed, number, shard]

    def end_round(
        self, reached: Position, total: float, n_rows: float, score: float | None
    ) -> Epoch:
        """Note where the visits of an epoch have led to, and judge it.

        Parameters
        ----------
        reached : Position
        total : float
            The sum over all rows of the losses.
        n_rows : float
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
        loss = total / n_rows
        if not (isfinite(loss) and np.isfinite(reached.theta).all()):
            raise DivergenceError(
                f"Training diverged in epoch {number + 1}: the loss is not finite. Choose a "
                "smaller learning_rate_init."
            )
        self.position = reached
        history, schedule = self._history, self._schedule
        seconds = time.perf_counter() - self._began
        rate = schedule.learning_rate
        epoch = Epoch(number + 1, network.max_iter, loss, score, rate, seconds)
        history.n_samples_seen += int(n_rows)
        if history.judge(loss, score, network.tol):
            history.best_theta = reached.theta
        history.append(epoch)
        self._epochs.append(epoch)
        if not schedule.is_constant:
            watched = loss if score is None else -score
            schedule.epoch_ends(history.n_samples_seen, watched, network.tol)
        if history.no_improvement_count > network.n_iter_no_change:
            self.converged = not schedule.on_plateau()
            history.no_improvement_count = 0
        return epoch

    def finish(self) -> None:
        """Set the fitted attributes of the network."""
        network, plan, history = self._streamed.network, self._streamed.plan, self._history
        add_epochs(history.numbers, self._epochs)
        theta = self.position.theta if history.best_theta is None else history.best_theta
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
