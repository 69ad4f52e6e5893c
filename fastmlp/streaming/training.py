"""Epochs of visits, until a network no longer gets better."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from ..engines.devices import open_engine
from ..engines.engine import Data
from ..estimators import inputs, planning, records
from ..estimators.holdout import Rows, Validator
from ..estimators.random_states import random_state_of
from ..exceptions import DivergenceError
from ..network import weights
from ..network.plan import OUTPUT_ACTIVATIONS, TrainingPlan
from ..schedules import LearningRate, schedule_for
from ..tabular.ahead import read_ahead
from ..training.history import Epoch, add_epochs
from .visits import Position, visit

# The rows of a shard for a network: inputs and targets as they are given to `fit`.
ReadShard = Callable[[str], tuple[np.ndarray, np.ndarray]]


@dataclass
class StreamedNetwork:
    """A network that has been begun, and what its training needs.

    Attributes
    ----------
    network : BaseMLP
        It has all fitted attributes but those of epochs.
    targets : Targets
    plan : TrainingPlan
    """

    network: Any
    targets: Any
    plan: TrainingPlan

    def data(self, X: np.ndarray, y: np.ndarray) -> Data:
        """Return rows in the form that an engine needs."""
        return Data(X, self.targets.to_train(self.targets.encode(y)))


def begin(network: Any, n_inputs: int, y: np.ndarray, seed: int) -> StreamedNetwork:
    """Give a network its initial weights, as a fit does before the first epoch.

    Parameters
    ----------
    network : BaseMLP
        Not fitted.
    n_inputs : int
    y : ndarray of shape (n,)
        Some targets, which have every class.
    seed : int

    Returns
    -------
    StreamedNetwork
    """
    planning.check(network, len(planning.hidden_units(network)))
    targets = network._targets()
    X = np.zeros((len(y), n_inputs), dtype=np.float32)
    _, y = inputs.read_rows(network, X, y, reset=True, is_numeric=targets.is_numeric)
    targets = targets.learned_from(y)
    vars(network).update(targets.attributes())
    n_outputs = targets.encode(y).shape[1]
    units = [n_inputs, *planning.hidden_units(network), n_outputs]
    random_state = random_state_of(seed)
    network.n_outputs_, network.n_layers_ = n_outputs, len(units)
    network.out_activation_ = OUTPUT_ACTIVATIONS[targets.loss]
    activation = planning.activations(network, len(units) - 2)
    theta = weights.initialise(units, activation, random_state, np.float32, network.init)
    network.coefs_, network.intercepts_ = weights.views(theta, units)
    network._random_state = random_state
    records.begin(network)
    plan = planning.objective_plan(network, targets, units, np.float32, int(network.batch_size))
    plan = replace(
        plan,
        **planning.optimizer_constants(network),
        **planning.step_options(network),
        seed=int(random_state.randint(2**32, dtype=np.uint32)) if plan.dropout else 0,
    )
    return StreamedNetwork(network, targets, plan)


def train(
    streamed: StreamedNetwork,
    read: ReadShard,
    shards: list[str],
    validation: str | None,
    seed: int,
    callback: Callable[[Epoch], Any] | None = None,
    told: Callable[[str, float], None] | None = None,
) -> tuple[bool, bool]:
    """Train a network by visits to shards, and set its fitted attributes.

    Parameters
    ----------
    streamed : StreamedNetwork
    read : callable
        ``read(name)`` gives the rows of a shard.
    shards : list of str
    validation : str or None
        The shard by which training ends in time and the best weights are kept.
    seed : int
    callback : callable or None
        It is called after each epoch, and ends training if it returns True.
    told : callable or None
        It is told after each visit, as in :mod:`fastmlp.streaming.statistics`.

    Returns
    -------
    converged, interrupted : bool

    Raises
    ------
    DivergenceError
        When the loss is not finite.
    """
    network, plan = streamed.network, streamed.plan
    kind = network.learning_rate if network.solver == "sgd" else "constant"
    schedule = LearningRate(
        schedule_for(network.lr_schedule or kind, network.power_t),
        network.learning_rate_init,
        network.max_iter,
    )
    history = records.continued(network, False)
    position = Position(weights.flatten(network.coefs_, network.intercepts_, plan.dtype))
    held = None if validation is None else _held(streamed, *read(validation))
    epochs: list[Epoch] = []
    converged = interrupted = False
    began = time.perf_counter()
    try:
        while len(epochs) < network.max_iter and not converged:
            number, rate = len(epochs), schedule.learning_rate
            order = np.random.default_rng([seed, number]).permutation(len(shards))
            total = n_rows = 0.0
            reached = position
            # While a shard is trained on, the next one is read.
            for i, (shard, (X, y)) in enumerate(
                read_ahead((shard, read(shards[shard])) for shard in order.tolist())
            ):
                visited = visit(
                    streamed.data(X, y),
                    plan,
                    reached,
                    [seed, number, shard],
                    rate,
                    device=network.device,
                    n_jobs=network.n_jobs,
                )
                reached = visited.position
                total, n_rows = total + visited.loss * len(y), n_rows + len(y)
                if told is not None:
                    told(f"epoch {number + 1}", (i + 1) / len(order))
            loss = total / n_rows
            if not (isfinite(loss) and np.isfinite(reached.theta).all()):
                raise DivergenceError(
                    f"Training diverged in epoch {number + 1}: the loss is not finite. Choose a "
                    "smaller learning_rate_init."
                )
            position = reached
            score = None if held is None else _score(streamed, held, position)
            epoch = Epoch(
                number + 1, network.max_iter, loss, score, rate, time.perf_counter() - began
            )
            history.n_samples_seen += int(n_rows)
            if history.judge(loss, score, network.tol):
                history.best_theta = position.theta
            history.append(epoch)
            epochs.append(epoch)
            if not schedule.is_constant:
                watched = loss if score is None else -score
                schedule.epoch_ends(history.n_samples_seen, watched, network.tol)
            if history.no_improvement_count > network.n_iter_no_change:
                converged = not schedule.on_plateau()
                history.no_improvement_count = 0
            if callback is not None and callback(epoch):
                converged = True
    except KeyboardInterrupt:
        interrupted = True
    add_epochs(history.numbers, epochs)
    theta = position.theta if history.best_theta is None else history.best_theta
    network.coefs_, network.intercepts_ = weights.views(theta.copy(), plan.layer_units)
    network.n_iter_ = len(epochs)
    records.keep(network, history, plan.layer_units)
    return converged, interrupted


def _held(streamed: StreamedNetwork, X: np.ndarray, y: np.ndarray) -> Rows:
    return Rows(X, streamed.targets.encode(y), None, y, None)


def _score(streamed: StreamedNetwork, held: Rows, position: Position) -> float:
    """Score the rows that validate."""
    network = streamed.network
    data = Data(held.X, streamed.targets.to_train(held.Y))
    validate = Validator(network, streamed.targets, held, False)
    with open_engine(
        network.device, streamed.plan, position.theta, data, n_jobs=network.n_jobs
    ) as engine:
        score = validate(engine).score
    assert score is not None
    return float(score)
