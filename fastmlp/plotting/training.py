"""How a fit went: the curve of its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..exceptions import InputError
from .figures import COLORS, LINE_STYLES, axes_or_new, require_matplotlib
from .networks import network_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from numpy.typing import ArrayLike, NDArray


def learning_curve(model: Any, ax: Axes | None = None, *, beside: str | None = "auto") -> Axes:
    """Draw the loss of each epoch, and beside it on an axis of its own what else was recorded.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        Fitted. What an older model has not in ``history_`` is taken from ``loss_curve_`` and
        ``validation_scores_``.
    ax : matplotlib.axes.Axes, optional
    beside : str or None, default='auto'
        Entry of ``history_`` for the right axis, such as 'learning_rate', 'gradient_norm' or
        'dead_units' (a line for each layer); 'auto' is the validation score where there is one.

    Returns
    -------
    matplotlib.axes.Axes
        The axes of the loss. Its scale is logarithmic where the loss falls by more than 50.

    Raises
    ------
    InputError
        When matplotlib is missing, the model was not trained or has no such record.
    """
    require_matplotlib()
    network = network_of(model, "loss_")
    history = _history(network)
    if beside == "auto":
        beside = "validation_score" if "validation_score" in history else None
    if not history.get("loss"):
        raise InputError(
            f"this {type(network).__name__} (solver={network.solver!r}) has no record of its loss"
        )
    if beside is not None and beside not in history:
        raise InputError(f"there is no record of {beside!r}; there are {', '.join(history)}")
    ax = axes_or_new(ax)
    epochs = np.arange(1, len(history["loss"]) + 1)
    lines: list[Line2D] = []
    for name, label, style in (
        ("loss", "training loss", "-"),
        ("validation_loss", "validation loss", "--"),
    ):
        if name in history:
            color = COLORS[len(lines)]
            (line,) = ax.plot(*_known(epochs, history[name]), style, color=color, label=label)
            lines.append(line)
    losses = np.concatenate([np.asarray(line.get_ydata()) for line in lines])
    if losses.min() > 0 and losses.max() > 50 * losses.min():
        ax.set_yscale("log")
    ax.set_xlabel("iteration" if network.solver == "lbfgs" else "epoch")
    ax.set_ylabel("loss")
    ax.grid(alpha=0.3)
    if beside is not None:
        right = ax.twinx()
        values = np.asarray(history[beside], dtype=float).reshape(len(epochs), -1)
        words = beside.replace("_", " ")
        for k, column in enumerate(values.T):
            label = words if values.shape[1] == 1 else f"{words}, layer {k + 1}"
            lines += right.plot(
                *_known(epochs, column),
                LINE_STYLES[(k + 2) % len(LINE_STYLES)],
                color=COLORS[(k + 2) % len(COLORS)],
                label=label,
            )
        right.set_ylabel(words)
    if len(lines) > 1:
        ax.legend(handles=lines, loc="best")
    return ax


def _history(network: Any) -> dict[str, Any]:
    """Return ``history_``, filled from scikit-learn's attributes where it lacks entries."""
    history = dict(getattr(network, "history_", None) or {})
    for name, attribute in (
        ("loss", "loss_curve_"),
        ("validation_score", "validation_scores_"),
    ):
        values = getattr(network, attribute, None)
        if name not in history and values is not None:
            history[name] = values
    return history


def _known(epochs: NDArray[Any], values: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the epochs whose number is known, and the numbers; there are gaps where none is."""
    numbers = np.asarray(values, dtype=float)
    is_known = ~np.isnan(numbers)
    return epochs[is_known], numbers[is_known]
