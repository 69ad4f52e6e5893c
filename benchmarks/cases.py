"""Networks, batches and data of the benchmark."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Case:
    """A network trained with Adam on standard normal inputs and labels of a linear teacher.

    Attributes
    ----------
    name : str
    batch_size, n_rows : int
    units : tuple of int
        From the features to the classes.
    n_epochs : int
        Epochs of a timed run.
    """

    name: str
    batch_size: int
    n_rows: int
    units: tuple[int, ...]
    n_epochs: int

    @property
    def n_steps(self):
        """Steps of a timed run."""
        return self.n_epochs * -(-self.n_rows // self.batch_size)

    @property
    def network(self):
        """Units joined by dashes."""
        return "-".join(map(str, self.units))

    @property
    def flop(self):
        """Floating-point operations of a step: forward, weight gradients, and deltas of
        every layer but the first, two for each multiply-add."""
        sizes = [a * b for a, b in zip(self.units, self.units[1:], strict=False)]
        return 2 * self.batch_size * (2 * sum(sizes) + sum(sizes[1:]))

    def data(self, dtype):
        """X and integer labels y, every class occurring."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(self.n_rows, self.units[0])).astype(dtype)
        y = (X @ rng.normal(size=(self.units[0], self.units[-1]))).argmax(axis=1)
        y[: self.units[-1]] = np.arange(self.units[-1])
        return X, y


CASES = [
    Case("iris", 150, 150, (4, 100, 3), 1000),
    Case("letter", 200, 16000, (16, 100, 26), 10),
    Case("tabular", 64, 12800, (54, 128, 128, 128, 7), 4),
    Case("mnist50", 200, 10000, (784, 50, 10), 6),
    Case("mnist256", 128, 10240, (784, 256, 128, 10), 4),
    Case("wide", 256, 2560, (784, 1024, 1024, 10), 3),
]
