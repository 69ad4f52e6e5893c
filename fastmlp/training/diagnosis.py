"""Messages about fits that went wrong in a known way: what happened, and what to do.

The thresholds are so wide that the noise of ordinary fits gives no message.
"""

from collections.abc import Sequence
from math import isfinite
from statistics import median

from ..exceptions import CustomLossError

# A rise is clear where it is more than this many times the estimator's `tol`.
_CLEARLY = 10
# A layer is reported where it has this many units, and more than this share of them is dead.
_FEW_UNITS, MANY_DEAD = 10, 0.9
_SHORTER_STEPS = "Lower learning_rate_init, standardise X, or limit the gradient with clip_norm"
_KEPT = "; the weights of the best epoch are kept"


def _is_clear(rise: float, tol: float) -> bool:
    return rise > _CLEARLY * tol  # False for NaN


def stopped(epoch: int) -> str:
    """Return the message of a fit that diverged, but has the weights of an earlier epoch."""
    return f"training diverged in epoch {epoch}{_KEPT}. {_SHORTER_STEPS}"


def diverging(losses: Sequence[float], tol: float, restored: bool = False) -> str | None:
    """Look for a training loss that ends far above its minimum.

    It does where the last three losses exceed the minimum by more than half of the improvement
    from the first epoch to the minimum, plus half of the minimum itself.

    Parameters
    ----------
    losses : sequence of float
        Training loss of each epoch of the fit.
    tol : float
        The estimator's `tol`.
    restored : bool
        Whether the fit kept the weights of its best epoch.

    Returns
    -------
    str or None
        The message, or None where there is nothing to report.
    """
    if len(losses) < 4 or not isfinite(losses[-1]):  # a loss that is not finite has its own message
        return None
    best, end = min(losses), min(losses[-3:])
    rise = end - best
    if not _is_clear(rise, tol) or rise <= 0.5 * (losses[0] - best) + 0.5 * abs(best):
        return None
    return (
        f"the training loss rose from {best:.3g} to {end:.3g}: steps are too long"
        f"{_KEPT if restored else ''}. {_SHORTER_STEPS}"
    )


def overfitting(
    losses: Sequence[float], validation_losses: Sequence[float | None], tol: float
) -> str | None:
    """Look for a validation loss that rose from its minimum while the training loss fell.

    It did where the last three validation losses exceed the minimum by more than a tenth of it.

    Parameters
    ----------
    losses : sequence of float
        Training loss of each epoch of the fit.
    validation_losses : sequence of float or None
        Validation loss of each epoch of the fit; None where it is not known.
    tol : float
        The estimator's `tol`.

    Returns
    -------
    str or None
        The message, or None where there is nothing to report.
    """
    known = [loss for loss in validation_losses if loss is not None]
    if len(known) < 4 or len(known) < len(validation_losses):
        return None
    best, end = min(known), min(known[-3:])
    epoch = known.index(best)
    rise = end - best
    if not _is_clear(rise, tol) or rise <= 0.1 * abs(best) or losses[-1] >= losses[epoch]:
        return None
    return (
        f"the validation loss rose from {best:.3g} in epoch {epoch + 1} to {end:.3g} while the "
        "training loss fell: the network overfits. Use early_stopping=True, dropout, a larger "
        "alpha, a smaller network, or more rows"
    )


def dying(shares: Sequence[float], units: Sequence[int]) -> str | None:
    """Look for a relu layer with almost all of its units zero for all rows.

    "Almost all" is more than nine of ten: where all numbers of X are positive, half of the units
    are dead from the start, and the others learn nevertheless. Layers of few units do not count,
    since most of their units may be dead by chance.

    Parameters
    ----------
    shares : sequence of float
        Share of dead units of each relu layer.
    units : sequence of int
        Number of units of each relu layer.

    Returns
    -------
    str or None
        The message, or None where there is nothing to report.
    """
    large = [share for share, n_units in zip(shares, units, strict=True) if n_units >= _FEW_UNITS]
    worst = max(large, default=0)
    if worst <= MANY_DEAD:
        return None
    return (
        f"{worst:.0%} of the units of a relu layer are zero for all rows, and cannot learn "
        "any more. Standardise X, lower learning_rate_init, use init='he_uniform', or "
        "activation='leaky_relu'"
    )


def still_improving(losses: Sequence[float], tol: float) -> str:
    """Return advice for a fit that reached its limit of epochs.

    Parameters
    ----------
    losses : sequence of float
        Training loss of each epoch of the fit.
    tol : float
        The estimator's `tol`.

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
        Epoch, or iteration of L-BFGS, in which training diverged, counted from 1.
    learning_rate_init : float or None
        None for L-BFGS, which has no learning rate.
    scales_y : bool
        Whether to advise that y be standardised, like X.

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


def failed(failure: CustomLossError, epoch: int, is_lbfgs: bool) -> CustomLossError:
    """Return the error of a fit in which a function of a custom loss raised an exception.

    Parameters
    ----------
    failure : CustomLossError
        What the engine raised.
    epoch : int
        Epoch, or iteration of L-BFGS, in which this happened, counted from 1.
    is_lbfgs : bool

    Returns
    -------
    CustomLossError
        It has the same cause.
    """
    unit = "iteration" if is_lbfgs else "epoch"
    error = CustomLossError(f"in {unit} {epoch} {failure}")
    error.__cause__ = failure.__cause__
    error.add_note(f"The estimator keeps the weights from before that {unit}.")
    return error


def lbfgs_stopped(n_iterations: int, max_iter: int, message: str) -> str:
    """Return the message of an L-BFGS that ended before it converged, in scikit-learn's words.

    Parameters
    ----------
    n_iterations : int
        Number of iterations that were completed.
    max_iter : int
        Largest number of iterations.
    message : str
        The reason that scipy gives.

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


def lbfgs_resumed() -> str:
    """Return the message of an L-BFGS that has gone on with a checkpoint."""
    return (
        "a checkpoint has no memory of L-BFGS's gradients: it has started anew from the weights "
        "that it had reached, and the result is not exactly that of an uninterrupted fit"
    )
