"""L-BFGS: scipy's optimiser on the engine's loss and gradient of all rows."""

import time
import warnings

import numpy as np
from scipy.optimize import OptimizeResult, minimize

from .parameters import attributes, penalty
from .plan import Loss
from .training import Epoch


def train(engine, theta, listener, *, max_iter, max_fun, tol, verbose):
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
    listener : Listener
        An iteration counts as an epoch.
    max_iter, max_fun : int
        Most iterations, and most evaluations of the loss.
    tol : float
        Training ends when no element of the gradient is larger.
    verbose : bool
        Print the loss of each iteration to stdout.

    Returns
    -------
    result : scipy.optimize.OptimizeResult
        The parameters `x`, and the `status`: 0 also where the listener or Ctrl-C ended
        training.
    losses : list of float
        Loss after each iteration.
    loss : float
        Loss at the parameters.
    """
    began = time.perf_counter()
    losses, reached, plan = [], theta, engine.plan
    n_terms = plan.n_outputs if plan.loss == Loss.SQUARED_ERROR else 1
    told_to_stop = False

    def penalty_at(x):
        return penalty(x, plan, engine.total_weight)

    def objective(x):
        loss, gradient = engine.loss_and_gradient(x)
        return n_terms * loss - (n_terms - 1) * penalty_at(x), gradient

    def mean_loss(fun, x):
        return float((fun + (n_terms - 1) * penalty_at(x)) / n_terms)

    def iteration_ends(intermediate_result):
        nonlocal reached, told_to_stop
        reached = intermediate_result.x.copy()
        losses.append(mean_loss(intermediate_result.fun, reached))
        if verbose:
            print(f"Iteration {len(losses)}, loss = {losses[-1]:.8f}")
        seconds = time.perf_counter() - began
        epoch = Epoch(len(losses), max_iter, losses[-1], None, None, seconds)
        told_to_stop = listener.epoch_ends(epoch, lambda: attributes(reached, plan.layer_units))
        if told_to_stop:
            raise StopIteration
        if len(losses) < max_iter:
            listener.epoch_begins()

    options = {"maxfun": max_fun, "maxiter": max_iter, "gtol": tol}
    try:
        listener.epoch_begins()
        result = minimize(
            objective,
            theta,
            method="L-BFGS-B",
            jac=True,
            callback=iteration_ends,
            options=options,
        )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=7)
        result = OptimizeResult(x=reached, nit=len(losses), status=0)
        return result, losses, losses[-1] if losses else np.nan
    if told_to_stop:
        result.status = 0
    return result, losses, mean_loss(result.fun, result.x)
