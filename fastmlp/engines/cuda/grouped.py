"""Trains many small networks together: one launch runs an epoch of each, with a block for each.

The fits of a :class:`FitGroup` run in threads, each with its own loop over epochs. Each fit opens
its engine through a :class:`Slot`. Where its network can join the group that is a
:class:`GroupedEngine`, whose ``run_epoch`` waits until all other fits have asked for an epoch, too.
Then one launch runs all of them. The results of a network are those of
:class:`fastmlp.engines.cuda.engine.CudaEngine`, which do not depend on the number of blocks.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeAlias

import numpy as np

from ...network.plan import LossFunctions, Optimizer, TrainingPlan
from ..engine import Engine, Matrix
from . import layout as at
from .engine import CudaEngine
from .kernel_group import (
    Data,
    EpochRequest,
    GroupedEngine,
    KernelGroup,
    Sums,
    multiply_adds_of_a_step,
)
from .network import (
    free_bytes,
    give_memory_back,
    is_device_matrix,
    one_at_a_time,
)
from .support import require
from .wide import is_wide

# A network joins a group if its step has at most this many multiply-adds (parameters times rows of
# a batch) for each fit of the group, of which at most _MOST_SHARERS count. By estimate one block
# does so many in the time that the whole GPU takes for one small step.
_BLOCK_MULTIPLY_ADDS = 2**18
_MOST_SHARERS = 128
# Share of the free memory that groups may use; networks that train alone use the rest.
_SHARE_OF_MEMORY = 0.5

# What the engines of a KernelGroup have in common.
_Kind: TypeAlias = tuple[np.dtype, LossFunctions | None]


_give_memory_back = one_at_a_time(give_memory_back)


def _kind(plan: TrainingPlan) -> _Kind:
    """Return what engines must have in common to share a :class:`KernelGroup`."""
    return plan.dtype, plan.custom_loss


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
        self._kernel_groups: dict[_Kind, KernelGroup] = {}
        # Data by the memory that they lie in, and elements by their keys.
        self._seen: dict[tuple[Any, ...], Future[Data]] = {}
        self._contents: dict[tuple[int, bytes], np.ndarray] = {}
        # The epochs that engines have asked for, with the results that they wait for.
        self._asked: dict[GroupedEngine, tuple[EpochRequest, Future[Sums]]] = {}
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
        is_small = multiply_adds_of_a_step(plan) <= _BLOCK_MULTIPLY_ADDS * min(
            self._n_fits, _MOST_SHARERS
        )
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
            kernel_group = groups.setdefault(_kind(plan), KernelGroup(plan.dtype))
            others = sum(other.n_bytes() for other in groups.values() if other is not kernel_group)
            if others + kernel_group.n_bytes(layout, data) > self._room:
                return None
            engine = GroupedEngine(slot, plan, theta, X.shape[0], sample_weight)
            kernel_group.add(engine, layout, *data)
        return engine

    def _data(self, array: Any, dtype: np.dtype) -> Data:
        """Prepare an array for the device; for fits that have the same array that is done once.

        Parameters
        ----------
        array : array-like
        dtype : numpy.dtype

        Returns
        -------
        Data
        """
        array = np.asarray(array)
        place = array.__array_interface__["data"][0], array.shape, array.strides, array.dtype, dtype
        with self._lock:
            is_new = place not in self._seen
            data = self._seen.setdefault(place, Future())
        if is_new:
            try:
                found = Data(array, dtype)
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

    def run_epoch(self, engine: GroupedEngine, epoch: EpochRequest) -> Sums:
        """Run an epoch of an engine, as soon as all other fits have asked for theirs.

        Parameters
        ----------
        engine : GroupedEngine
        epoch : EpochRequest

        Returns
        -------
        list of float
            The sums of losses, penalties and gradient norms.
        """
        result: Future[Sums] = Future()
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
