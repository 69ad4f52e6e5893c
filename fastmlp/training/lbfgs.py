"""L-BFGS: scipy's optimiser on the engine's loss and gradient of all rows."""

import threading
import time
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult, minimize
from threadpoolctl import ThreadpoolController

from ..network.plan import Loss
from ..network.weights import attributes, penalty
from .loop import Epoch, Validation, Watch, add_epochs


class Outcome(NamedTuple):
    """How training ended."""

    theta: np.ndarray
    """The parameters, finite unless they began otherwise."""
    n_iterations: int
    """Iterations done."""
    loss: float
    """Loss at the parameters."""
    result: OptimizeResult
    """Of scipy; its status is 0 also where the listener or Ctrl-C ended training."""
    diverged: bool
    """Whether the loss or the next parameters are not finite."""
    interrupted: bool = False
    """Whether Ctrl-C ended training."""


class _OneBlasThread:
    """Limits BLAS to one thread while any fit is inside.

    L-BFGS has it multiply matrices of ten rows, where threads do nothing but wait for each
    other, and for ours. The limit is the process's, and fits may overlap in any way.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._n_inside = 0

    def __enter__(self):
        with self._lock:
            if not self._n_inside:
                self._limit = _blas().limit(limits=1, user_api="blas")
            self._n_inside += 1

    def __exit__(self, *exc_info):
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside:
                self._limit.restore_original_limits()


@cache
def _blas():
    return ThreadpoolController()  # looks through all loaded libraries


_one_blas_thread = _OneBlasThread()


def train(
    engine, theta, history, listener, *, max_iter, max_fun, tol, watch=None, verbose=False
):  # fmt: skip
    """Minimise the loss of all rows as one batch (Liu and Nocedal, 1989).

    With several outputs the sum of their squared errors is minimised, whose gradient the
    engine has, and their mean is reported. (scikit-learn's line search compares this gradient
    with the mean.)

    Parameters
    ----------
    engine : engine
        Its plan has the optimiser ``GRADIENT`` and all rows in a batch.
    theta : ndarray of shape (n_parameters,), float64
        Start.
    history : History
        Modified in place: the loss after each iteration, and what is watched.
    listener : Listener
        An iteration counts as an epoch.
    max_iter, max_fun : int
        Most iterations, and most evaluations of the loss.
    tol : float
        Training ends when no element of the gradient is larger.
    watch : Watch or None
    verbose : bool
        Print the loss of each iteration to stdout.

    Returns
    -------
    Outcome
    """
    began = time.perf_counter()
    watch = watch or Watch()
    epochs = []
    reached, plan, gradient_norm = theta, engine.plan, 0.0
    n_terms = plan.n_outputs if plan.loss == Loss.SQUARED_ERROR else 1
    n_iterations, loss, told_to_stop, diverged = 0, np.nan, False, False

    def penalty_at(x):
        return penalty(x, plan, engine.total_weight)

    def objective(x):
        nonlocal gradient_norm
        loss, gradient = engine.loss_and_gradient(x)
        if watch.gradient_norm is not None:
            gradient_norm = float(np.linalg.norm(gradient))
        return n_terms * loss - (n_terms - 1) * penalty_at(x), gradient

    def mean_loss(fun, x):
        return float((fun + (n_terms - 1) * penalty_at(x)) / n_terms)

    def iteration_ends(intermediate_result):
        nonlocal reached, told_to_stop, diverged, loss, n_iterations
        x, fun = intermediate_result.x, intermediate_result.fun
        if not (np.isfinite(fun) and np.isfinite(x).all()):
            diverged = True
            raise StopIteration
        reached, n_iterations = x.copy(), n_iterations + 1
        loss = mean_loss(fun, reached)
        history.loss_curve.append(loss)
        if verbose:
            print(f"Iteration {n_iterations}, loss = {loss:.8f}")
        epoch = measured_epoch()
        epochs.append(epoch)
        told_to_stop = listener.epoch_ends(epoch, lambda: attributes(reached, plan.layer_units))
        if told_to_stop:
            raise StopIteration
        if n_iterations < max_iter:
            listener.epoch_begins()

    def measured_epoch():
        if watch.validate is not None or watch.dead_units is not None:
            engine.push(reached)
        validation = Validation() if watch.validate is None else watch.validate(engine)
        return Epoch(
            n_iterations,
            max_iter,
            loss,
            validation.score,
            None,
            time.perf_counter() - began,
            validation.loss,
            # The last evaluation of a line search is where it ends.
            None if watch.gradient_norm is None else gradient_norm,
            None if watch.dead_units is None else watch.dead_units(engine),
        )

    options = {"maxfun": max_fun, "maxiter": max_iter, "gtol": tol}
    try:
        listener.epoch_begins()
        with _one_blas_thread:
            result = minimize(
                objective,
                theta,
                method="L-BFGS-B",
                jac=True,
                callback=iteration_ends,
                options=options,
            )
    except KeyboardInterrupt:
        result = OptimizeResult(x=reached, nit=n_iterations, status=0)
        return Outcome(reached, n_iterations, loss, result, False, interrupted=True)
    finally:
        add_epochs(history.numbers, epochs)
    if told_to_stop:
        result.status = 0
    if diverged or not (np.isfinite(result.fun) and np.isfinite(result.x).all()):
        return Outcome(reached, n_iterations, loss, result, True)
    return Outcome(result.x, result.nit, mean_loss(result.fun, result.x), result, False)
