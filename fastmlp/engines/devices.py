"""The choice of an engine by the estimators' parameter `device`: 'cpu', 'cuda' or 'auto'."""

import contextlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy.sparse import issparse

from ..exceptions import DeviceError
from ..network.plan import TrainingPlan
from ..network.weights import flatten, n_parameters
from .custom_functions import frozen
from .engine import Data, Engine, Matrix, PredictionNetwork
from .forks import importing
from .ranges import check_ranges

if TYPE_CHECKING:
    from .cpu.prediction import NetworkInPlace
    from .cuda.grouped import FitGroup, Slot

# The number of multiply-adds from which on 'auto' chooses a GPU. A CPU does about 1e11 a second.
# Compiling kernels for a GPU takes seconds; once they are compiled, only starting them and copying
# the data count, which take milliseconds.
_AUTO_MULTIPLY_ADDS = 5e11
_AUTO_MULTIPLY_ADDS_COMPILED = 1e10
# Number of epochs after which many fits have converged.
_EXPECTED_EPOCHS = 50
# Keys of the kernels that this process has used on a GPU; see _kernels. They must not hold the
# functions of custom losses, which would then live as long as the process.
_compiled: set[tuple[Any, ...]] = set()


@cache
def _cpu_engine() -> Any:
    """Import the module of the CPU's engine when that is first needed."""
    with importing:
        from .cpu import engine
    return engine


def is_device_array(array: Any) -> bool:
    """Tell whether an array of another library, or a DeviceMatrix, lies on a GPU."""
    if type(array).__module__.startswith("pandas."):  # which search long for names they lack
        return False
    return hasattr(array, "__cuda_array_interface__") or getattr(array, "is_device_matrix", False)


def host_array(array: Any) -> Any:
    """Copy an array on a GPU to a NumPy array; return anything else unchanged."""
    if not is_device_array(array):
        return array
    from .cuda.support import require_for_arrays

    require_for_arrays()
    from .cuda.arrays import to_host

    return to_host(array)


def device_matrix(device: str, X: Any, may_be_infinite: bool) -> Any:
    """Check an X that lies on a GPU; see :func:`fastmlp.engines.cuda.arrays.device_matrix`.

    Parameters
    ----------
    device : {'cpu', 'cuda', 'auto'}
    X : array of shape (n_rows, n_features) with ``__cuda_array_interface__``
    may_be_infinite : bool
        Whether values that are not finite are accepted.

    Returns
    -------
    DeviceMatrix

    Raises
    ------
    TypeError
        When the device is 'cpu'.
    """
    if device == "cpu":
        raise TypeError(
            f"X is a {type(X).__module__}.{type(X).__name__} on a GPU; use device='cuda', or copy "
            "it to a NumPy array"
        )
    from .cuda.support import require_for_arrays

    require_for_arrays()
    from .cuda.arrays import device_matrix

    return device_matrix(X, may_be_infinite)


def open_engine(
    device: str,
    plan: TrainingPlan,
    theta: np.ndarray,
    data: Data,
    *,
    n_jobs: int | None = None,
    n_epochs: int = 0,
    slot: "Slot | None" = None,
) -> Engine:
    """Open an engine for a network and its data.

    'auto' chooses the GPU where one can be used, and X lies there or the work is estimated to be
    large: at least 5e11 multiply-adds, or 1e10 where this process has used a GPU for a network
    with the same options. The estimate is parameters times rows; for a fit it is three times that
    for each epoch, of which at most 50 count. Where the GPU has too little memory 'auto' chooses
    the CPU.

    Parameters
    ----------
    device : {'cpu', 'cuda', 'auto'}
    plan : TrainingPlan
    theta : ndarray of shape (n_parameters,)
        Initial parameters; they are copied.
    data : Data
    n_jobs : int or None
        Number of threads on the CPU; None is numba's limit.
    n_epochs : int, default=0
        Largest number of epochs of the fit; 0 where there are none.
    slot : Slot or None
        Place of the fit among others that share a GPU; see :mod:`fastmlp.engines.cuda.grouped`.

    Returns
    -------
    Engine

    Raises
    ------
    DeviceError
        When 'cuda' was asked for and cannot be used; the message says why.
    ValueError
        When the plan's dtype cannot hold the data.
    """
    check_ranges(plan, data)
    if plan.custom_loss is not None:
        # Engines cache compiled code by these functions. Copies are other functions as soon as a
        # value that they use has changed.
        plan = replace(plan, custom_loss=frozen(plan.custom_loss))
    arguments = plan, theta, *data, n_jobs
    if _is_for_gpu(device, plan, data.X, n_epochs):
        from .cuda.engine import CudaEngine

        try:
            return CudaEngine(*arguments) if slot is None else slot.open(CudaEngine, *arguments)
        except DeviceError:
            if device != "auto":
                raise
    on_cpu = _cpu_engine().CpuEngine
    return on_cpu(*arguments) if slot is None else slot.open(on_cpu, *arguments)


def predict(
    device: str, plan: TrainingPlan, theta: np.ndarray, X: Matrix, n_jobs: int | None = None
) -> np.ndarray:
    """Compute the output activations of a network.

    Where a GPU is asked for and cannot be used the CPU predicts, so that a model that was trained
    on a GPU can be used without one.

    Parameters
    ----------
    device : {'cpu', 'cuda', 'auto'}
    plan : TrainingPlan
        The plan of the network; its optimiser and batch size do not matter.
    theta : ndarray of shape (n_parameters,)
    X : ndarray, DeviceMatrix or scipy.sparse matrix of shape (n_rows, n_features)
    n_jobs : int or None
        Number of threads on the CPU; None is numba's limit.

    Returns
    -------
    ndarray of shape (n_rows, n_outputs)
    """
    if predicts_on_gpu(device, plan, X):
        from .cuda.engine import outputs as cuda_outputs

        with contextlib.suppress(DeviceError):
            return cuda_outputs(plan, theta, X)
    return _cpu_engine().outputs(plan, theta, X, n_jobs)


def predicts_on_gpu(device: str, plan: TrainingPlan, X: Matrix) -> bool:
    """Tell whether :func:`predict` uses a GPU, unless its memory is too small."""
    try:
        return _is_for_gpu(device, plan, X, 0)
    except DeviceError:
        return False


def prediction_network(
    plan: TrainingPlan, coefs: Sequence[np.ndarray], intercepts: Sequence[np.ndarray]
) -> PredictionNetwork:
    """Make a network that predicts on the CPU with arrays where they lie.

    Parameters
    ----------
    plan : TrainingPlan
        The plan of the network; its optimiser and batch size do not matter.
    coefs : sequence of ndarray of shape (fan_in, fan_out)
        For each layer its weights, C-contiguous and of the plan's dtype.
    intercepts : sequence of ndarray of shape (fan_out,)
        For each layer its biases, in the same form.

    Returns
    -------
    PredictionNetwork
        It does not keep the arrays alive.
    """
    _cpu_engine()
    from .cpu.prediction import NetworkInPlace

    return NetworkInPlace(plan, coefs, intercepts)


def predict_rows(
    network: PredictionNetwork, arrays: Sequence[np.ndarray], X: Matrix, n_jobs: int | None
) -> np.ndarray:
    """Predict on the CPU; see :func:`fastmlp.engines.cpu.engine.predict_rows`."""
    return _cpu_engine().predict_rows(network, arrays, X, n_jobs)


def input_gradients(
    device: str,
    network: PredictionNetwork,
    arrays: Sequence[np.ndarray],
    X: Matrix,
    units: Sequence[int] | None,
    of_preactivations: bool,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Compute the gradients of outputs with respect to inputs, for each row.

    Where a GPU is asked for and cannot be used the CPU computes them, as for :func:`predict`.

    Parameters
    ----------
    device : {'cpu', 'cuda', 'auto'}
    network : PredictionNetwork
    arrays : sequence of ndarray
        All weights and then all biases, the very arrays that the network was made for.
    X : ndarray, DeviceMatrix or scipy.sparse matrix of shape (n_rows, n_features)
    units : sequence of int or None
        The outputs to differentiate. None stands for that of the class which a row predicts, where
        a single output, the probability of the second of two classes, is negated for the first.
    of_preactivations : bool
        Whether to differentiate an output's pre-activation instead of its activation.
    n_jobs : int or None
        Number of threads on the CPU; None is numba's limit.

    Returns
    -------
    ndarray of shape (n_rows, n_units, n_features)
        In the plan's dtype; one unit where `units` is None.
    """
    n_gradients = 1 if units is None else len(units)
    # Sparse rows, and a GPU that cannot be used, are for the CPU.
    with contextlib.suppress(DeviceError):
        if _is_for_gpu(device, network.plan, X, 0, n_gradients):
            from .cuda.input_gradients import input_gradients as on_gpu

            n_layers = len(arrays) // 2
            theta = flatten(arrays[:n_layers], arrays[n_layers:], network.plan.dtype)
            return on_gpu(network.plan, theta, X, units, of_preactivations)
    _cpu_engine()
    from .cpu.input_gradients import input_gradients as on_cpu

    placed = cast("NetworkInPlace", network)  # there are no others
    return on_cpu(placed, arrays, X, units, of_preactivations, n_jobs)


def entry_gradients(
    network: PredictionNetwork,
    arrays: Sequence[np.ndarray],
    X: Matrix,
    units: Sequence[int] | None,
    of_preactivations: bool,
    n_jobs: int | None = None,
) -> np.ndarray:
    """Compute on the CPU the gradients with respect to those inputs that a sparse X has.

    Parameters
    ----------
    network, arrays, units, of_preactivations, n_jobs
        As for :func:`input_gradients`.
    X : scipy.sparse matrix of shape (n_rows, n_features)
        In compressed rows.

    Returns
    -------
    ndarray of shape (n_units, n_entries)
        For each output a number for each entry of X, in the order of its data.
    """
    _cpu_engine()
    from .cpu.input_gradients import input_gradients as on_cpu

    placed = cast("NetworkInPlace", network)
    return on_cpu(placed, arrays, X, units, of_preactivations, n_jobs, of_entries=True)


def cpu_threads(n_jobs: int | None) -> int:
    """Return how many threads of the CPU an ``n_jobs`` parameter stands for.

    Parameters
    ----------
    n_jobs : int or None
        In scikit-learn's meaning; None is numba's limit.

    Returns
    -------
    int
    """
    return _cpu_engine().resolve_n_threads(n_jobs)


def limit_threads(most: int) -> AbstractContextManager[None]:
    """Return a context in which the fits of the current thread use no more threads than `most`.

    Like ``numba.set_num_threads``, the limit belongs to one thread of the caller.
    """
    _cpu_engine()
    from .cpu.threads import at_most

    return at_most(most)


def fit_group(n_fits: int, n_turns: int) -> "FitGroup | None":
    """Make a group of fits that share a GPU.

    Parameters
    ----------
    n_fits : int
        Number of fits in the group.
    n_turns : int
        Number of fits that may run at a time where they cannot share kernels.

    Returns
    -------
    fastmlp.engines.cuda.grouped.FitGroup or None
        None where no GPU can be used.
    """
    from .cuda.support import why_not

    if why_not():
        return None
    from .cuda.grouped import FitGroup

    return FitGroup(n_fits, n_turns)


def _is_for_gpu(
    device: str, plan: TrainingPlan, X: Matrix, n_epochs: int, n_gradients: int = 0
) -> bool:
    """Tell whether a GPU shall do some work.

    Parameters
    ----------
    device : {'cpu', 'cuda', 'auto'}
    plan : TrainingPlan
    X : ndarray, DeviceMatrix or scipy.sparse matrix of shape (n_rows, n_features)
    n_epochs : int
        Largest number of epochs of a fit; 0 for other work.
    n_gradients : int, default=0
        Number of input gradients of each row; 0 for other work.

    Returns
    -------
    bool

    Raises
    ------
    DeviceError
        When 'cuda' is asked for and cannot be used.
    """
    if device == "cpu" or (
        device == "auto" and not _is_worth_a_gpu(plan, X, n_epochs, n_gradients)
    ):
        return False
    from .cuda.support import refusal, why_not

    reason = why_not()
    if not reason and issparse(X):
        reason = "it takes dense X; call X.toarray(), or use device='cpu'"
    if not reason:
        _compiled.add(_kernels(plan, n_epochs, n_gradients))
        return True
    if device == "cuda":
        raise refusal(reason)
    return False


def _is_worth_a_gpu(plan: TrainingPlan, X: Matrix, n_epochs: int, n_gradients: int = 0) -> bool:
    """Tell whether 'auto' prefers a GPU for some work."""
    if is_device_array(X):
        return True
    n_passes = 3 * min(n_epochs, _EXPECTED_EPOCHS) or 1 + n_gradients
    work = n_passes * X.shape[0] * n_parameters(plan.layer_units)
    return work >= _least_work(plan, n_epochs, n_gradients) and not issparse(X)


def _least_work(plan: TrainingPlan, n_epochs: int, n_gradients: int = 0) -> float:
    """Return the number of multiply-adds from which on 'auto' chooses a GPU."""
    if _is_compiled(plan, n_epochs, n_gradients):
        return _AUTO_MULTIPLY_ADDS_COMPILED
    return _AUTO_MULTIPLY_ADDS


def _is_compiled(plan: TrainingPlan, n_epochs: int, n_gradients: int = 0) -> bool:
    """Tell whether this process has used a GPU for a network with the same options."""
    if not _compiled or _kernels(plan, n_epochs, n_gradients) not in _compiled:
        return False
    from .cuda.specialization import is_remembered

    return not n_epochs or plan.custom_loss is None or is_remembered(plan.custom_loss)


def _kernels(plan: TrainingPlan, n_epochs: int, n_gradients: int) -> tuple[Any, ...]:
    """Return a key of the kernels that are compiled for some work, without the custom loss."""
    from .cuda import specialization as of_work

    specialization = (
        of_work.training_specialization(plan) if n_epochs
        else of_work.gradient_specialization(plan) if n_gradients
        else of_work.prediction_specialization(plan)
    )  # fmt: skip
    return plan.dtype, specialization.without_custom_loss(), n_epochs > 0, n_gradients > 0
