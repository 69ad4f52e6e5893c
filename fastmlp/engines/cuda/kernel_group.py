"""Networks that share a launch: the engine of each, and what they have on the device together."""

import hashlib
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

import numpy as np
from numba import cuda

from ...network.plan import TrainingPlan
from ...network.weights import n_parameters
from ..engine import OptimizerMemory
from . import layout as at
from .arguments import DeviceArray, Network, Rows, StepRecord
from .blocks import THREADS
from .custom_loss import custom_functions
from .kernels import training_kernels
from .network import (
    DeviceNetwork,
    OneEpochAtOnce,
    memory_errors,
    one_at_a_time,
    to_device,
)
from .specialization import training_specialization

if TYPE_CHECKING:
    from .grouped import Slot

# Largest number of multiply-adds of one block in one launch. They take about a second, so that
# Ctrl-C acts soon.
_LAUNCH_MULTIPLY_ADDS = 2e9
# Each network begins at a multiple of this many elements, as lines of the cache do.
_ALIGNMENT = 32

# Sums over an epoch: losses, penalties and gradient norms.
Sums: TypeAlias = list[float]


class Data:
    """An array that will be sent to the device, with a key that equal arrays share.

    Parameters
    ----------
    array : ndarray
    dtype : numpy.dtype

    Attributes
    ----------
    source : ndarray
        The array. It is kept so that no other array gets its address.
    elements : ndarray of shape (array.size,), dtype
    key : tuple
        Size and digest of the elements.
    """

    def __init__(self, array: np.ndarray, dtype: np.dtype) -> None:
        self.source = array
        self.elements = np.ascontiguousarray(array, dtype).ravel()
        self.key = self.elements.size, hashlib.blake2b(self.elements.data).digest()


class EpochRequest(NamedTuple):
    """An epoch that an engine asks for.

    Attributes
    ----------
    order : ndarray of shape (n_rows,), int64
    step_scalars : ndarray of shape (n_steps, N_STEP_SCALARS)
        The numbers that change from step to step.
    """

    order: np.ndarray
    step_scalars: np.ndarray


class GroupedEngine(OneEpochAtOnce, DeviceNetwork):
    """A :class:`fastmlp.engines.engine.Engine` of a fit whose network trains in a group.

    Its network is moved to the device when the group runs its first epoch. Before that only
    :meth:`push` and the attributes can be used.

    Parameters
    ----------
    slot : Slot
        Place of the fit in its group.
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
        Initial parameters; they are copied.
    n_rows : int
        Number of rows that the network is trained on.
    sample_weight : ndarray of shape (n_rows,) or None

    Raises
    ------
    DeviceError
        When numba cannot compile the functions of a custom loss.
    """

    @one_at_a_time
    def __init__(
        self,
        slot: "Slot",
        plan: TrainingPlan,
        theta: np.ndarray,
        n_rows: int,
        sample_weight: np.ndarray | None,
    ) -> None:
        super().__init__(plan)
        if plan.custom_loss is not None:
            custom_functions(*plan.custom_loss)  # here an error ends only this fit
        self._slot = slot
        self._n_rows = n_rows
        self._host_weight = sample_weight
        # What was pushed before the network is on the device; None when it is there.
        self._beginning: tuple[np.ndarray, OptimizerMemory | None] | None
        self._beginning = np.array(theta, plan.dtype), None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the group, whose other fits go on without this one."""
        self._slot.leave()

    def loss_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Refuse, since L-BFGS does not train in groups.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError("networks that L-BFGS trains do not join groups")

    def settle(self, network: Network, first: int) -> None:
        """Move the network to the device.

        Parameters
        ----------
        network : Network
        first : int
            Element of the arena at which the parameters of this network begin.
        """
        self._settle(network, first)
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            self.push(*beginning)

    def push(self, theta: np.ndarray, state: OptimizerMemory | None = None) -> None:
        """Set the parameters; see :meth:`fastmlp.engines.engine.Engine.push`."""
        if self._beginning is None:
            super().push(theta, state)
        else:
            self._beginning = theta, state
            self.step = 0 if state is None else state[0]

    def run_epoch(self, order: np.ndarray, learning_rate: float) -> float:
        """Run an epoch; see :meth:`fastmlp.engines.engine.Engine.run_epoch`.

        It waits until all other fits of the group have asked for an epoch, or have left the group.
        """
        step_scalars = self._step_scalars(order, learning_rate, self._host_weight)
        loss, penalty, norms = self._slot.group.run_epoch(self, EpochRequest(order, step_scalars))
        self.step += len(step_scalars)
        if self.plan.needs_gradient_norm:
            self.gradient_norm = norms / len(step_scalars)
        return float((loss + penalty) / order.size)


class KernelGroup:
    """The engines of a group that share kernels, with their networks and data on the device.

    They have the same dtype and the same custom loss.

    Parameters
    ----------
    dtype : numpy.dtype
    """

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype
        # The layout of each engine, and the element of the arena at which it begins.
        self._layouts: dict[GroupedEngine, tuple[at.Layout, int]] = {}
        # Where each array begins among the data, by its key.
        self._places: dict[tuple[int, bytes], int] = {}
        self._data: list[np.ndarray] = []
        self._n_arena = self._n_data = 0
        # The networks and the data on the device.
        self._device: tuple[Network, DeviceArray] | None = None
        self._train_many: Any = None

    def n_bytes(self, layout: at.Layout | None = None, data: list[Data] | None = None) -> int:
        """Compute how many bytes the group needs on the device.

        Parameters
        ----------
        layout : Layout or None
            The layout of an engine that may be added.
        data : list of Data or None
            The arrays of that engine.

        Returns
        -------
        int
        """
        data = data or []
        new = {one.key: one.elements.size for one in data if one.key not in self._places}
        size = self._n_arena + self._n_data + sum(new.values()) + (layout.size if layout else 0)
        return self.dtype.itemsize * size

    def add(
        self,
        engine: GroupedEngine,
        layout: at.Layout,
        X: Data,
        Y: Data,
        weight: Data | None = None,
    ) -> None:
        """Add an engine, whose layout is moved to a place of its own in the arena."""
        layout.move(self._n_arena)
        settings = layout.settings
        settings[[at.FIRST_X, at.FIRST_Y]] = self._place(X), self._place(Y)
        if weight is not None:
            settings[[at.IS_WEIGHTED, at.FIRST_WEIGHT]] = 1, self._place(weight)
        self._layouts[engine] = layout, self._n_arena
        self._n_arena += -(-layout.size // _ALIGNMENT) * _ALIGNMENT

    def _place(self, data: Data) -> int:
        """Find where an array begins among the data; add it where it is not there yet."""
        if data.key not in self._places:
            self._places[data.key] = self._n_data
            self._data.append(data.elements)
            self._n_data += data.elements.size
        return self._places[data.key]

    def _settle(self) -> tuple[Network, DeviceArray]:
        """Move the networks of all engines, and their data, to the device."""
        depth = max(len(layout.layers) for layout, _ in self._layouts.values())
        layers = np.zeros((len(self._layouts), depth, at.LAYER_FIELDS), np.int64)
        for table, (layout, _) in zip(layers, self._layouts.values(), strict=True):
            table[: len(layout.layers)] = layout.layers
        settings = np.stack([layout.settings for layout, _ in self._layouts.values()])
        constants = np.stack([at.constants(engine.plan) for engine in self._layouts])
        layers, settings, constants = map(cuda.to_device, (layers, settings, constants))
        arena = np.zeros(self._n_arena, self.dtype)
        for layout, _ in self._layouts.values():
            layout.fill(arena)
        arena = cuda.to_device(arena)
        specialization = reduce(
            or_, [training_specialization(engine.plan) for engine in self._layouts]
        )
        self._train_many = training_kernels(self.dtype, specialization)["train_many"]
        data, first = cuda.device_array(self._n_data, self.dtype), 0
        for elements in self._data:
            data[first : first + elements.size].copy_to_device(elements)
            first += elements.size
        self._data = []
        self._device = Network(arena, layers, settings, constants), data
        for number, (engine, (_, first)) in enumerate(self._layouts.items()):
            tables = layers[number], settings[number], constants[number]
            engine.settle(Network(arena, *tables), first)
        return self._device

    @one_at_a_time
    @memory_errors()
    def run(self, epochs: dict[GroupedEngine, EpochRequest]) -> dict[GroupedEngine, Sums]:
        """Run an epoch of each of some engines.

        Parameters
        ----------
        epochs : dict
            Epochs by engine.

        Returns
        -------
        dict
            By engine, the sums of losses, penalties and gradient norms.
        """
        networks, data = self._device or self._settle()
        places = {engine: number for number, engine in enumerate(self._layouts)}
        runs = np.zeros((len(epochs), at.RUN_FIELDS), np.int64)
        first_row = first_step = 0
        for run, (engine, epoch) in zip(runs, epochs.items(), strict=True):
            n_rows, n_steps = epoch.order.size, len(epoch.step_scalars)
            run[[at.MODEL, at.FIRST_ROW, at.N_ROWS]] = places[engine], first_row, n_rows
            run[[at.FIRST_OF_STEPS, at.N_STEPS, at.STEPS_DONE]] = first_step, n_steps, engine.step
            first_row, first_step = first_row + n_rows, first_step + n_steps
        order, step_scalars = (
            np.concatenate(parts) for parts in zip(*epochs.values(), strict=True)
        )
        # Row losses, penalties and gradient norms.
        sizes = first_row, first_step, first_step
        sums = (cuda.device_array(size, self.dtype) for size in sizes)
        rows = Rows(data, data, data, to_device(order, np.int64))
        record = StepRecord(cuda.to_device(step_scalars), *sums)
        for engine in epochs:
            engine._keep_start()
        totals = cuda.to_device(np.zeros((len(places), 3)))
        pieces = np.array([_steps_of_a_launch(engine.plan) for engine in epochs])
        while (active := runs[:, at.END] < runs[:, at.N_STEPS]).any():
            runs[:, at.BEGIN] = runs[:, at.END]
            runs[:, at.END] = np.minimum(runs[:, at.END] + pieces, runs[:, at.N_STEPS])
            self._train_many[int(active.sum()), THREADS](
                networks, rows, record, cuda.to_device(runs[active]), totals
            )
            cuda.synchronize()
        totals = totals.copy_to_host().tolist()
        return {engine: totals[places[engine]] for engine in epochs}


def multiply_adds_of_a_step(plan: TrainingPlan) -> int:
    """Count the multiply-adds of the forward pass of a step, which takes whole groups of rows."""
    n_groups = -(-plan.batch_size // at.GROUP)
    return n_groups * at.GROUP * n_parameters(plan.layer_units)


def _steps_of_a_launch(plan: TrainingPlan) -> int:
    """Compute how many steps of a network one launch may have, so that it takes about a second."""
    return max(1, int(_LAUNCH_MULTIPLY_ADDS // (3 * multiply_adds_of_a_step(plan))))
