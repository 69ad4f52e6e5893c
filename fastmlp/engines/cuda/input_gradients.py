"""Gradients of a network's outputs with respect to its inputs, on the GPU."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numba import cuda

from ...network.plan import Optimizer, TrainingPlan
from ...network.weights import check_parameters, n_parameters
from ..engine import Matrix
from ..gradient_rules import numbers_of, rule_of
from . import layout as at
from .arguments import Network
from .gradient_pass import gradient_kernels
from .network import (
    DeviceNetwork,
    check_room,
    default_n_blocks,
    memory_errors,
    one_at_a_time,
    to_device,
)
from .specialization import gradient_specialization

# Largest number of multiply-adds of a launch, which takes about a second, so that Ctrl-C acts soon.
_LAUNCH_MULTIPLY_ADDS = 2e11
# Largest number of rows of a launch, and of bytes of their gradients and of themselves.
_LAUNCH_ROWS, _LAUNCH_BYTES = 16384, 2**28


class _GradientNetwork(DeviceNetwork):
    """A network on the device that can only be differentiated.

    Parameters
    ----------
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
    n_rows : int
        Number of rows that will be differentiated.
    n_units : int
        Number of gradients of each row.
    """

    def __init__(self, plan: TrainingPlan, theta: np.ndarray, n_rows: int, n_units: int) -> None:
        n_features, n_bytes = plan.layer_units[0], plan.dtype.itemsize
        of_row = n_bytes * n_features * (1 + n_units)
        work_of_row = (1 + n_units) * n_parameters(plan.layer_units)
        most = min(_LAUNCH_ROWS, _LAUNCH_BYTES // of_row, _LAUNCH_MULTIPLY_ADDS // work_of_row)
        self._n_rows = max(1, min(n_rows, int(most)))
        capacity = min(self._n_rows, 8 * at.GROUP * default_n_blocks())
        plan = replace(plan, optimizer=Optimizer.GRADIENT, batch_size=capacity)
        super().__init__(plan)
        self._kernels = gradient_kernels(plan.dtype, gradient_specialization(plan)) | self._kernels
        layout = at.gradient_layout(plan, capacity)
        check_room(n_bytes * layout.size + of_row * self._n_rows)
        tables = layout.layers, layout.settings, at.constants(plan)
        arena = cuda.device_array(layout.size, plan.dtype)
        self._settle(Network(arena, *map(cuda.to_device, tables)))
        self.push(theta)

    def gradients(self, X: Matrix, units: np.ndarray, rule: int) -> np.ndarray:
        """Compute the gradients of some outputs, for each row.

        Parameters
        ----------
        X : ndarray or DeviceMatrix of shape (n_rows, n_features)
        units : ndarray of shape (n_units,), int64
            The numbers of the outputs, or PREDICTED.
        rule : int
            Which derivative the outputs have; see :mod:`fastmlp.engines.gradient_rules`.

        Returns
        -------
        ndarray of shape (n_rows, n_units * n_features)
        """
        dtype, n_all = self.plan.dtype, X.shape[0]
        result = np.empty((n_all, units.size * X.shape[1]), dtype)
        wanted = cuda.to_device(units)
        buffer = cuda.device_array((self._n_rows, result.shape[1]), dtype)
        for first in range(0, n_all, self._n_rows):
            part = result[first : first + self._n_rows]
            rows = to_device(X[first : first + len(part)], dtype)
            n_blocks = min(-(-self.plan.batch_size // at.GROUP), -(-len(part) // at.GROUP))
            self._launch(
                "differentiate", self._network, rows, len(part), wanted, rule, buffer,
                n_blocks=n_blocks,
            )  # fmt: skip
            buffer[: len(part)].copy_to_host(part)
        return result


@one_at_a_time
@memory_errors()
def input_gradients(
    plan: TrainingPlan,
    theta: np.ndarray,
    X: Matrix,
    units: Sequence[int] | None,
    of_preactivations: bool,
) -> np.ndarray:
    """Compute the gradients of outputs with respect to inputs, for each row.

    Parameters
    ----------
    plan : TrainingPlan
        The plan of the network; its optimiser and batch size do not matter.
    theta : ndarray of shape (n_parameters,)
    X : ndarray or DeviceMatrix of shape (n_rows, n_features)
    units, of_preactivations
        As for :func:`fastmlp.engines.devices.input_gradients`.

    Returns
    -------
    ndarray of shape (n_rows, n_units, n_features)

    Raises
    ------
    DeviceError
        When the device has too little memory.
    """
    check_parameters(theta, X, plan.layer_units)
    numbers, n_rows = numbers_of(units), X.shape[0]
    network = _GradientNetwork(plan, theta, n_rows, numbers.size)
    found = network.gradients(X, numbers, rule_of(plan, of_preactivations))
    return found.reshape(n_rows, numbers.size, X.shape[1])
