"""Trains many small networks together: one launch runs an epoch of each, with a block for each.

The fits of a :class:`FitGroup` run in threads, each with its own loop over epochs. Each fit opens
its engine through a :class:`Slot`. Where its network can join the group that is a
:class:`GroupedEngine`, whose ``run_epoch`` waits until all other fits have asked for an epoch, too.
Then one launch runs all of them. The results of a network are those of
:class:`fastmlp.engines.cuda.engine.CudaEngine`, which do not depend on the number of blocks.
"""

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import reduce
from operator import or_
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numba import cuda

from ...network.plan import LossFunctions, Optimizer, TrainingPlan
from ...network.weights import n_parameters
from ..engine import Engine, Matrix, OptimizerMemory
from . import layout as at
from .arguments import DeviceArray, Network, Rows, StepRecord
from .blocks import THREADS
from .engine import CudaEngine
from .kernels import training_kernels
from .network import (
    DeviceNetwork,
    free_bytes,
    give_memory_back,
    is_device_matrix,
    memory_errors,
    one_at_a_time,
    to_device,
)
from .outputs import custom_functions
from .specialization import training_specialization
from .support import require
from .wide import is_wide

# A network joins a group if its step has at most this many multiply-adds (parameters times rows of
# a batch) for each fit of the group, of which at most _MOST_SHARERS count. By estimate one block
# does so many in the time that the whole GPU takes for one small step.
_BLOCK_MULTIPLY_ADDS = 2**18
_MOST_SHARERS = 128
# Largest number of multiply-adds of one block in one launch. They take about a second, so that
# Ctrl-C acts soon.
_LAUNCH_MULTIPLY_ADDS = 2e9
# Share of the free memory that groups may use; networks that train alone use the rest.
_SHARE_OF_MEMORY = 0.5
# Each network begins at a multiple of this many elements, as lines of the cache do.
_ALIGNMENT = 32

# What the engines of a _KernelGroup have in common.
_Kind: TypeAlias = tuple[np.dtype, LossFunctions | None]
# Sums over an epoch: losses, penalties and gradient norms.
_Sums: TypeAlias = list[float]


class _Data:
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


class _Epoch(NamedTuple):
    """An epoch that an engine asks for.

    Attributes
    ----------
    order : ndarray of shape (n_rows,), int64
    step_scalars : ndarray of shape (n_steps, N_STEP_SCALARS)
        The numbers that change from step to step.
    """

    order: np.ndarray
    step_scalars: np.ndarray


class GroupedEngine(DeviceNetwork):
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
        loss, penalty, norms = self._slot.group.run_epoch(self, _Epoch(order, step_scalars))
        self.step += len(step_scalars)
        if self.plan.needs_gradient_norm:
            self.gradient_norm = norms / len(step_scalars)
        return float((loss + penalty) / order.size)


class _KernelGroup:
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

    def n_bytes(self, layout: at.Layout | None = None, data: list[_Data] | None = None) -> int:
        """Compute how many bytes the group needs on the device.

        Parameters
        ----------
        layout : Layout or None
            The layout of an engine that may be added.
        data : list of _Data or None
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
        X: _Data,
        Y: _Data,
        weight: _Data | None = None,
    ) -> None:
        """Add an engine, whose layout is moved to a place of its own in the arena."""
        layout.move(self._n_arena)
        settings = layout.settings
        settings[[at.FIRST_X, at.FIRST_Y]] = self._place(X), self._place(Y)
        if weight is not None:
            settings[[at.IS_WEIGHTED, at.FIRST_WEIGHT]] = 1, self._place(weight)
        self._layouts[engine] = layout, self._n_arena
        self._n_arena += -(-layout.size // _ALIGNMENT) * _ALIGNMENT

    def _place(self, data: _Data) -> int:
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
    def run(self, epochs: dict[GroupedEngine, _Epoch]) -> dict[GroupedEngine, _Sums]:
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


_give_memory_back = one_at_a_time(give_memory_back)


def _kind(plan: TrainingPlan) -> _Kind:
    """Return what engines must have in common to share a :class:`_KernelGroup`."""
    return plan.dtype, plan.custom_loss


def _work(plan: TrainingPlan) -> int:
    """Count the multiply-adds of the forward pass of a step, which takes whole groups of rows."""
    n_groups = -(-plan.batch_size // at.GROUP)
    return n_groups * at.GROUP * n_parameters(plan.layer_units)


def _steps_of_a_launch(plan: TrainingPlan) -> int:
    """Compute how many steps of a network one launch may have, so that it takes about a second."""
    return max(1, int(_LAUNCH_MULTIPLY_ADDS // (3 * _work(plan))))


class FitGroup:
    """Fits that share a GPU, whose small networks train together.

    Parameters
    ----------
    n_fits : int
        Number of fits. Each needs a :class:`Slot`, and the first epoch waits for all of them.
    n_turns : int
        Number of fits that may train at a time among those whose networks do not join.

    Attributes
    ----------
    turns : threading.Semaphore
        Fits whose networks do not join acquire it while they train.
    """

    def __init__(self, n_fits: int, n_turns: int) -> None:
        require()
        self._n_fits = self._n_active = n_fits
        self.turns = threading.Semaphore(n_turns)
        self._lock = threading.Lock()
        self._kernel_groups: dict[_Kind, _KernelGroup] = {}
        # Data by the memory that they lie in, and elements by their keys.
        self._seen: dict[tuple[Any, ...], Future[_Data]] = {}
        self._contents: dict[tuple[int, bytes], np.ndarray] = {}
        # The epochs that engines have asked for, with the results that they wait for.
        self._asked: dict[GroupedEngine, tuple[_Epoch, Future[_Sums]]] = {}
        self._has_begun = False
        self._room: float | None = None

    def slot(self) -> "Slot":
        """Make a place for one of the fits."""
        return Slot(self)

    def join(
        self,
        slot: "Slot",
        plan: TrainingPlan,
        theta: np.ndarray,
        X: Matrix,
        Y: np.ndarray,
        sample_weight: np.ndarray | None = None,
    ) -> GroupedEngine | None:
        """Open an engine in the group for a small network.

        Parameters
        ----------
        slot : Slot
        plan, theta, X, Y, sample_weight
            See :class:`fastmlp.engines.cuda.engine.CudaEngine`.

        Returns
        -------
        GroupedEngine or None
            None where the network must train alone: it is too large, L-BFGS trains it, its X lies
            on the device already, the group has no memory left, or its first epoch has begun.
        """
        is_small = _work(plan) <= _BLOCK_MULTIPLY_ADDS * min(self._n_fits, _MOST_SHARERS)
        if self._has_begun or not is_small or is_wide(plan) or is_device_matrix(X):
            return None
        if plan.optimizer == Optimizer.GRADIENT:  # L-BFGS chooses its steps on the host
            return None
        plan.check_data(X, Y)
        layout = at.device_layout(plan, plan.batch_size)
        arrays = (X, Y) if sample_weight is None else (X, Y, sample_weight)
        data = [self._data(array, plan.dtype) for array in arrays]
        with self._lock:
            if self._room is None:
                self._room = _SHARE_OF_MEMORY * free_bytes()
            groups = self._kernel_groups
            kernel_group = groups.setdefault(_kind(plan), _KernelGroup(plan.dtype))
            others = sum(other.n_bytes() for other in groups.values() if other is not kernel_group)
            if others + kernel_group.n_bytes(layout, data) > self._room:
                return None
            engine = GroupedEngine(slot, plan, theta, X.shape[0], sample_weight)
            kernel_group.add(engine, layout, *data)
        return engine

    def _data(self, array: Any, dtype: np.dtype) -> _Data:
        """Prepare an array for the device; for fits that have the same array that is done once.

        Parameters
        ----------
        array : array-like
        dtype : numpy.dtype

        Returns
        -------
        _Data
        """
        array = np.asarray(array)
        place = array.__array_interface__["data"][0], array.shape, array.strides, array.dtype, dtype
        with self._lock:
            is_new = place not in self._seen
            data = self._seen.setdefault(place, Future())
        if is_new:
            try:
                found = _Data(array, dtype)
                with self._lock:
                    found.elements = self._contents.setdefault(found.key, found.elements)
                data.set_result(found)
            except BaseException as error:
                data.set_exception(error)
        return data.result()

    def leave(self) -> None:
        """Wait for one fit less, and run the epochs of the others if all of them have asked."""
        with self._lock:
            self._n_active -= 1
            self._run_if_all_ask()
            if not self._n_active:
                self._kernel_groups.clear()
                self._forget_data()
                _give_memory_back()

    def _forget_data(self) -> None:
        """Forget which arrays were seen; engines that have joined keep theirs."""
        self._seen.clear()
        self._contents.clear()

    def run_epoch(self, engine: GroupedEngine, epoch: _Epoch) -> _Sums:
        """Run an epoch of an engine, as soon as all other fits have asked for theirs.

        Parameters
        ----------
        engine : GroupedEngine
        epoch : _Epoch

        Returns
        -------
        list of float
            The sums of losses, penalties and gradient norms.
        """
        result: Future[_Sums] = Future()
        with self._lock:
            self._asked[engine] = epoch, result
            self._run_if_all_ask()
        return result.result()

    def _run_if_all_ask(self) -> None:
        """Run the epochs that were asked for, if all fits have asked; the lock must be held."""
        if not self._asked or len(self._asked) < self._n_active:
            return
        self._has_begun = True
        self._forget_data()  # no engine can join any more
        asked, self._asked = self._asked, {}
        for kind, kernel_group in self._kernel_groups.items():
            epochs = {
                engine: epoch for engine, (epoch, _) in asked.items() if _kind(engine.plan) == kind
            }
            if not epochs:
                continue
            try:
                sums = kernel_group.run(epochs)
            except BaseException as error:  # otherwise the fits would wait for ever
                for engine in epochs:
                    asked[engine][1].set_exception(error)
            else:
                for engine in epochs:
                    asked[engine][1].set_result(sums[engine])
        for _, result in asked.values():
            if not result.done():
                result.set_exception(RuntimeError("this network has left the group"))


class Slot:
    """The place of one fit in a group.

    It is a context manager around the fit, and :meth:`open` opens the engine of the fit.

    Parameters
    ----------
    group : FitGroup
    """

    def __init__(self, group: FitGroup) -> None:
        self.group = group
        self._is_taken = True
        self._is_grouped = False
        self._has_turn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.leave()
        if self._has_turn:
            self._has_turn = False
            self.group.turns.release()

    def leave(self) -> None:
        """Leave the group, whose other fits go on without this one."""
        self._is_grouped = False
        if self._is_taken:
            self._is_taken = False
            self.group.leave()

    def open(self, engine_class: Callable[..., Engine], *arguments: Any) -> Engine:
        """Open an engine in the group, or one by itself where the network cannot join.

        Parameters
        ----------
        engine_class : class
            The class of an engine by itself. Only networks for a :class:`CudaEngine` join.
        *arguments
            The arguments of the class.

        Returns
        -------
        Engine
        """
        if engine_class is CudaEngine and self._is_taken and not self._is_grouped:
            *data, _ = arguments
            engine = self.group.join(self, *data)
            if engine is not None:
                self._is_grouped = True
                return engine
        self.leave()
        if not self._has_turn:
            self.group.turns.acquire()
            self._has_turn = True
        return engine_class(*arguments)
