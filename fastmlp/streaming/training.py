"""Epochs of visits, until a network no longer gets better."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..engines.engine import Data
from ..estimators import inputs, planning, records
from ..estimators.random_states import random_state_of
from ..network import weights
from ..network.plan import OUTPUT_ACTIVATIONS, TrainingPlan
from ..tabular.ahead import read_ahead
from ..training.history import Epoch
from .course import Course, held_rows, score_of
from .keeping import KeptCourses
from .visits import visit

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


def begin(
    network: Any, n_inputs: int, y: np.ndarray, seed: int, dtype: Any = np.float32
) -> StreamedNetwork:
    """Give a network its initial weights, as a fit does before the first epoch.

    Parameters
    ----------
    network : BaseMLP
        Not fitted.
    n_inputs : int
    y : ndarray of shape (n,)
        Some targets, which have every class.
    seed : int
    dtype : dtype, default=float32
        The type of the inputs and of the weights.

    Returns
    -------
    StreamedNetwork
    """
    planning.check(network, len(planning.hidden_units(network)))
    targets = network._targets()
    X = np.zeros((len(y), n_inputs), dtype=dtype)
    _, y = inputs.read_rows(network, X, y, reset=True, is_numeric=targets.is_numeric)
    targets = targets.learned_from(y)
    vars(network).update(targets.attributes())
    n_outputs = targets.encode(y).shape[1]
    units = [n_inputs, *planning.hidden_units(network), n_outputs]
    random_state = random_state_of(seed)
    network.n_outputs_, network.n_layers_ = n_outputs, len(units)
    network.out_activation_ = OUTPUT_ACTIVATIONS[targets.loss]
    activation = planning.activations(network, len(units) - 2)
    theta = weights.initialise(units, activation, random_state, dtype, network.init)
    network.coefs_, network.intercepts_ = weights.views(theta, units)
    network._random_state = random_state
    records.begin(network)
    plan = planning.objective_plan(network, targets, units, dtype, int(network.batch_size))
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
    course: Course,
    kept: KeptCourses,
    callback: Callable[[Epoch], Any] | None = None,
    told: Callable[[str, float], None] | None = None,
) -> bool:
    """Train a network by visits to shards, and set its fitted attributes.

    Parameters
    ----------
    streamed : StreamedNetwork
    read : callable
        ``read(name)`` gives the rows of a shard.
    shards : list of str
    validation : str or None
        The shard by which training ends in time and the best weights are kept.
    course : Course
    kept : KeptCourses
        It keeps the course in a checkpoint.
    callback : callable or None
        It is called after each epoch, and ends training if it returns True.
    told : callable or None
        It is told after each visit, as in :mod:`fastmlp.streaming.statistics`.

    Returns
    -------
    interrupted : bool

    Raises
    ------
    DivergenceError
        When the loss is not finite.
    """
    network = streamed.network
    interrupted, held = False, None
    try:
        with kept.signals():
            if validation is not None and not course.is_over:
                held = held_rows(streamed, *read(validation))
            while not course.is_over:
                number, rate, order = course.next_round()
                # While a shard is trained on, the next one is read.
                for shard, (X, y) in read_ahead((one, read(shards[one])) for one in order):
                    visited = visit(
                        streamed.data(X, y),
                        streamed.plan,
                        course.carried.position,
                        course.seed_of(number, shard),
                        rate,
                        device=network.device,
                        n_jobs=network.n_jobs,
                    )
                    course.carried = course.carried.after(visited, len(y))
                    kept.step_ends()
                    if told is not None:
                        told(f"epoch {number + 1}", course.carried.n_visits / len(shards))
                score = None
                if held is not None:
                    score = score_of(streamed, held, course.carried.position, network.n_jobs)
                epoch = course.end_round(course.carried, score)
                if callback is not None and callback(epoch):
                    course.converged = True
                kept.step_ends()
    except KeyboardInterrupt:
        interrupted = True
    course.finish()
    return interrupted
