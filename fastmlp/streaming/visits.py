"""A network visits a shard: one pass over its rows, in an order of their own."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..engines.devices import open_engine
from ..engines.engine import Data, OptimizerMemory
from ..network.plan import TrainingPlan


class Position(NamedTuple):
    """Where a network is in its training."""

    theta: np.ndarray
    """The parameters, of shape (n_parameters,)."""
    memory: OptimizerMemory | None = None
    """The state of the optimiser; None before the first step."""


class Visited(NamedTuple):
    """What a visit has led to."""

    position: Position
    loss: float
    """The mean over the rows of the losses of their batches."""


class Carried(NamedTuple):
    """A network on its way over the shards in an epoch."""

    position: Position
    total: float = 0.0
    """The sum of the losses of the rows so far."""
    n_rows: float = 0.0
    n_visits: int = 0

    def after(self, visited: Visited, n_rows: int) -> "Carried":
        """Return where a visit to a shard with so many rows has led to."""
        total = self.total + visited.loss * n_rows
        return Carried(visited.position, total, self.n_rows + n_rows, self.n_visits + 1)


def visit(
    shard: Data,
    plan: TrainingPlan,
    position: Position,
    seed: Sequence[int],
    rate: float,
    *,
    device: str = "cpu",
    n_jobs: int | None = None,
) -> Visited:
    """Train a network for one pass over the rows of a shard.

    Nothing is kept between visits, and nothing is changed: the same arguments give the same bits,
    whatever the process and the number of threads.

    Parameters
    ----------
    shard : Data
    plan : TrainingPlan
        Its batches are no larger than the shard.
    position : Position
    seed : sequence of int
        It decides on the order of the rows, such as member, epoch and shard.
    rate : float
        The learning rate.
    device : {'cpu', 'cuda', 'auto'}, default='cpu'
    n_jobs : int or None, default=None

    Returns
    -------
    Visited
    """
    n_rows = int(shard.X.shape[0])
    order = np.random.default_rng([*seed]).permutation(n_rows).astype(np.int64)
    plan = replace(plan, batch_size=min(plan.batch_size, n_rows))
    with open_engine(device, plan, position.theta, shard, n_jobs=n_jobs, n_epochs=1) as engine:
        if position.memory is not None:
            engine.push(position.theta, position.memory)
        loss = engine.run_epoch(order, rate)
        return Visited(Position(engine.pull(), engine.state()), loss)
