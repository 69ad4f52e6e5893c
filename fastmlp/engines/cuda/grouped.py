"""Many small networks trained together: one launch an epoch, a block for each.

Fits run in threads of their own, each through its own epoch loop, and form a group: when all
of them have asked for an epoch, one launch runs these. A network's numbers are
those of :class:`fastmlp.engines.cuda.engine.CudaEngine`, whose results do not depend on the number
of blocks.
"""

import hashlib
import threading
from concurrent.futures import Future
from functools import reduce
from operator import or_
from typing import NamedTuple

import numpy as np
from numba import cuda

from ...network.plan import Optimizer
from ...network.weights import n_parameters
from . import layout as at
from .arguments import Network, Rows, StepRecord
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

# A network joins whose step is at most this many multiply-adds (parameters times rows of a
# batch) for each fit of the group, at most _MOST_SHARERS of them: an estimate of what one block
# does in the time in which the whole GPU takes one small step.
_BLOCK_MULTIPLY_ADDS = 2**18
_MOST_SHARERS = 128
# Multiply-adds of one block in one launch: about a second, so that Ctrl-C acts soon.
_LAUNCH_MULTIPLY_ADDS = 2e9
# Networks that train alone find the rest of the free memory.
_SHARE_OF_MEMORY = 0.5
# Networks begin at multiples of so many elements, as lines of the cache do.
_ALIGNMENT = 32


class _Data:
    """An array to send to the device, and what tells equal ones."""

    def __init__(self, array, dtype):
        self.source = array  # whose address shall not be used again
        self.elements = np.ascontiguousarray(array, dtype).ravel()
        self.key = self.elements.size, hashlib.blake2b(self.elements).digest()


class _Epoch(NamedTuple):
    """What an engine asks for."""

    order: np.ndarray
    step_scalars: np.ndarray


class GroupedEngine(DeviceNetwork):
    """The engine of a fit in a group; the contract of ``cuda.engine.CudaEngine``.

    It comes to the device with its first epoch; until then, parameters are only set.
    """

    @one_at_a_time
    def __init__(self, slot, plan, theta, sample_weight):
        super().__init__(plan)
        if plan.custom_loss is not None:
            custom_functions(*plan.custom_loss)  # an error is that of this fit alone
        self._slot = slot
        self._host_weight = sample_weight
        self._beginning = np.array(theta, plan.dtype), None

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def close(self):
        """Let the others of the group go on without this network."""
        self._slot.leave()

    def settle(self, network, first):
        """Move to the device."""
        self._settle(network, first)
        beginning, self._beginning = self._beginning, None
        self.push(*beginning)

    def push(self, theta, state=None):
        """Set the parameters, and the optimiser's state if given."""
        if self._beginning is None:
            super().push(theta, state)
        else:
            self._beginning = theta, state
            self.step = 0 if state is None else state[0]

    def run_epoch(self, order, learning_rate):
        """Update the parameters once for each mini-batch, when all others ask for that, too."""
        step_scalars = self._step_scalars(order, learning_rate, self._host_weight)
        loss, penalty, norms = self._slot.group.run_epoch(self, _Epoch(order, step_scalars))
        self.step += len(step_scalars)
        if self.plan.needs_gradient_norm:
            self.gradient_norm = norms / len(step_scalars)
        return (loss + penalty) / order.size


class _KernelGroup:
    """Engines of one dtype and custom loss, their networks and data, as kernels take them."""

    def __init__(self, dtype):
        self.dtype = dtype
        self._layouts = {}  # of engines, each with where it begins in the arena
        self._places = {}  # of data, by their keys
        self._data = []
        self._n_arena = self._n_data = 0
        self._device = self._train_many = None

    def n_bytes(self, layout=None, data=()):
        """Memory on the device, with what a new engine needs."""
        new = {one.key: one.elements.size for one in data if one.key not in self._places}
        size = self._n_arena + self._n_data + sum(new.values()) + (layout.size if layout else 0)
        return self.dtype.itemsize * size

    def add(self, engine, layout, X, Y, weight=None):
        """Provide for an engine."""
        layout.move(self._n_arena)
        settings = layout.settings
        settings[[at.FIRST_X, at.FIRST_Y]] = self._place(X), self._place(Y)
        if weight is not None:
            settings[[at.IS_WEIGHTED, at.FIRST_WEIGHT]] = 1, self._place(weight)
        self._layouts[engine] = layout, self._n_arena
        self._n_arena += -(-layout.size // _ALIGNMENT) * _ALIGNMENT

    def _place(self, data):
        """Where an array begins among the data."""
        if data.key not in self._places:
            self._places[data.key] = self._n_data
            self._data.append(data.elements)
            self._n_data += data.elements.size
        return self._places[data.key]

    def _settle(self):
        """Move all engines to the device."""
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

    @one_at_a_time
    @memory_errors()
    def run(self, epochs):
        """Run epochs of engines; by engine, the sums of losses, penalties and gradient norms."""
        if self._device is None:
            self._settle()
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
        sizes = first_row, first_step, first_step  # of row losses, penalties, gradient norms
        sums = (cuda.device_array(size, self.dtype) for size in sizes)
        networks, data = self._device
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


def _kind(plan):
    """What engines of a kernel_group have in common."""
    return plan.dtype, plan.custom_loss


def _work(plan):
    """Multiply-adds of a step's forward pass, of whole groups of rows."""
    n_groups = -(-plan.batch_size // at.GROUP)
    return n_groups * at.GROUP * n_parameters(plan.layer_units)


def _steps_of_a_launch(plan):
    return max(1, int(_LAUNCH_MULTIPLY_ADDS // (3 * _work(plan))))


class FitGroup:
    """Fits that train together.

    Parameters
    ----------
    n_fits : int
        Each fit needs a :class:`Slot`; the first epoch waits for all of them.
    n_turns : int
        Fits that may train at a time among those that do not join.
    """

    def __init__(self, n_fits, n_turns):
        require()
        self._n_fits = self._n_active = n_fits
        self.turns = threading.Semaphore(n_turns)
        self._lock = threading.Lock()
        self._kernel_groups = {}
        self._seen = {}  # data by where they lie
        self._contents = {}  # and by what they are
        self._asked = {}  # epochs of engines, with what will be their results
        self._has_begun = False
        self._room = None

    def slot(self):
        """A place for one of the fits."""
        return Slot(self)

    def join(self, slot, plan, theta, X, Y, sample_weight=None):
        """An engine for a network; None where it has to be trained alone."""
        is_small = _work(plan) <= _BLOCK_MULTIPLY_ADDS * min(self._n_fits, _MOST_SHARERS)
        if self._has_begun or not is_small or is_wide(plan) or is_device_matrix(X):
            return None
        if plan.optimizer == Optimizer.GRADIENT:  # L-BFGS
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
            engine = GroupedEngine(slot, plan, theta, sample_weight)
            kernel_group.add(engine, layout, *data)
        return engine

    def _data(self, array, dtype):
        """An array to send; one that several fits have is looked at once."""
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

    def leave(self):
        """One fit less is waited for."""
        with self._lock:
            self._n_active -= 1
            self._run_if_all_ask()
            if not self._n_active:
                self._kernel_groups.clear()
                self._forget_data()
                _give_memory_back()

    def _forget_data(self):
        self._seen.clear()
        self._contents.clear()

    def run_epoch(self, engine, epoch):
        """Sums of losses and penalties of an epoch, which runs when all others ask for theirs."""
        result = Future()
        with self._lock:
            self._asked[engine] = epoch, result
            self._run_if_all_ask()
        return result.result()

    def _run_if_all_ask(self):
        if not self._asked or len(self._asked) < self._n_active:
            return
        self._has_begun = True
        self._forget_data()  # nobody joins any more
        asked, self._asked = self._asked, {}
        for kind, kernel_group in self._kernel_groups.items():
            epochs = {m: epoch for m, (epoch, _) in asked.items() if _kind(m.plan) == kind}
            if not epochs:
                continue
            try:
                sums = kernel_group.run(epochs)
            except BaseException as error:  # nobody shall wait for ever
                for engine in epochs:
                    asked[engine][1].set_exception(error)
            else:
                for engine in epochs:
                    asked[engine][1].set_result(sums[engine])
        for _, result in asked.values():
            if not result.done():
                result.set_exception(RuntimeError("this network has left the group"))


class Slot:
    """The place of one fit in a group: a context around the fit, which opens its engine.

    Parameters
    ----------
    group : FitGroup
    """

    def __init__(self, group):
        self.group = group
        self._is_taken = True
        self._is_grouped = False
        self._has_turn = False

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.leave()
        if self._has_turn:
            self._has_turn = False
            self.group.turns.release()

    def leave(self):
        """Let the others go on without this fit."""
        self._is_grouped = False
        if self._is_taken:
            self._is_taken = False
            self.group.leave()

    def open(self, engine_class, *arguments):
        """Open an engine in the group, or alone where the network cannot join.

        Parameters
        ----------
        engine_class : class
            The engine for a fit by itself. Only networks for a :class:`CudaEngine` join.
        *arguments
            Those of the class.

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
