"""From the record of a fit to words: what went wrong in a known way, and what to do.

Thresholds are such that ordinary fits, with their noise, say nothing.
"""

from math import isfinite
from statistics import median

_CLEARLY = 10  # times the tolerance that the user set for an improvement
_MANY_DEAD, _FEW_UNITS = 0.9, 10


def _is_clear(rise, tol):
    return rise > _CLEARLY * tol


_SHORTER_STEPS = "Lower learning_rate_init, standardise X, or limit the gradient with clip_norm"
_KEPT = "; the weights of the best epoch are kept"


def stopped(epoch):
    """What to say where a fit that kept its best weights met a loss that is not finite."""
    return f"training diverged in epoch {epoch}{_KEPT}. {_SHORTER_STEPS}"


def diverging(losses, tol, restored=False):
    """A training loss that ends far above its best.

    The last three epochs lie above the best one by half of all that was gained until then, and
    half of the best itself.

    Parameters
    ----------
    losses : sequence of float
        Of each epoch of the fit.
    tol : float
        The estimator's.
    restored : bool
        Whether the weights of the best epoch are kept.

    Returns
    -------
    str or None
    """
    if len(losses) < 4 or not isfinite(losses[-1]):  # which is said anyway
        return None
    best, end = min(losses), min(losses[-3:])
    rise = end - best
    if not _is_clear(rise, tol) or rise <= 0.5 * (losses[0] - best) + 0.5 * abs(best):
        return None
    return (
        f"the training loss rose from {best:.3g} to {end:.3g}: steps are too long"
        f"{_KEPT if restored else ''}. {_SHORTER_STEPS}"
    )


def overfitting(losses, validation_losses, tol):
    """A validation loss that rose from its best while the training loss fell.

    The rise is a tenth, and holds for the last three epochs.

    Parameters
    ----------
    losses, validation_losses : sequence of float
        Of each epoch of the fit.
    tol : float

    Returns
    -------
    str or None
    """
    if len(validation_losses) < 4 or any(loss is None for loss in validation_losses):
        return None
    best, end = min(validation_losses), min(validation_losses[-3:])
    epoch = validation_losses.index(best)
    rise = end - best
    if not _is_clear(rise, tol) or rise <= 0.1 * abs(best) or losses[-1] >= losses[epoch]:
        return None
    return (
        f"the validation loss rose from {best:.3g} in epoch {epoch + 1} to {end:.3g} while the "
        "training loss fell: the network overfits. Use early_stopping=True, dropout, a larger "
        "alpha, a smaller network, or more rows"
    )


def dying(shares, units):
    """A relu layer with almost all of its units zero for all rows.

    More than nine of ten: where X is not centred and all its numbers are positive, a half is dead
    from the start, and the others learn. Layers of few units may be so by chance.

    Parameters
    ----------
    shares : sequence of float
        Of dead units, for each relu layer.
    units : sequence of int
        Units of these layers.

    Returns
    -------
    str or None
    """
    large = [share for share, n_units in zip(shares, units, strict=True) if n_units >= _FEW_UNITS]
    worst = max(large, default=0)
    if worst <= _MANY_DEAD:
        return None
    return (
        f"{worst:.0%} of the units of a relu layer are zero for all rows, and cannot learn "
        "any more. Standardise X, lower learning_rate_init, use init='he_uniform', or "
        "activation='leaky_relu'"
    )


def still_improving(losses, tol):
    """What to do where training reached its limit of epochs.

    Parameters
    ----------
    losses : sequence of float
        Of each epoch of the fit.
    tol : float

    Returns
    -------
    str
    """
    recent = losses[-10:]
    if len(recent) < 4:
        return "Raise max_iter."
    half = len(recent) // 2
    gain = median(recent[:half]) - median(recent[-half:])
    if gain > tol:
        return (
            f"The training loss still fell by {gain:.3g} in the last {half} epochs: raise "
            "max_iter or learning_rate_init."
        )
    return "The training loss fluctuates: lower learning_rate_init, or raise tol or max_iter."


def diverged(epoch: int, learning_rate_init: float | None, scales_y: bool) -> str:
    """Return the message of a :class:`fastmlp.DivergenceError`.

    Parameters
    ----------
    epoch : int
        Epoch, or iteration of L-BFGS, counted from 1.
    learning_rate_init : float or None
        None for L-BFGS, which has no learning rate.
    scales_y : bool
        Whether y should be standardised, like X.

    Returns
    -------
    str
    """
    unit = "iteration" if learning_rate_init is None else "epoch"
    remedy = f"standardise {'X and y' if scales_y else 'X'}"
    if learning_rate_init is not None:
        remedy += (
            f", lower learning_rate_init={learning_rate_init:g}, or limit the gradient with "
            "clip_norm"
        )
    return (
        "Solver produced non-finite parameter weights. The input data may contain large values "
        f"and need to be preprocessed. Training diverged in {unit} {epoch}: {remedy}."
    )


def lbfgs_stopped(n_iterations: int, max_iter: int, message: str) -> str:
    """Return what to say where L-BFGS ended before it converged, in scikit-learn's words.

    Parameters
    ----------
    n_iterations : int
        Iterations done.
    max_iter : int
        Most iterations.
    message : str
        scipy's reason.

    Returns
    -------
    str
    """
    text = f"lbfgs failed to converge after {n_iterations} iteration(s): {message}"
    if n_iterations >= max_iter:
        text += (
            f"\nIncrease the number of iterations to improve the convergence (max_iter={max_iter})."
        )
    return text + "\nYou might also want to standardise X."
