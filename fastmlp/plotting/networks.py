"""What networks are made of: the weights of the first layer, and activation functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..exceptions import InputError
from ..network.formulas.activations import formula_of
from ..network.plan import Activation
from .figures import (
    COLORS,
    LINE_STYLES,
    MARKERS,
    axes_or_new,
    grid_of_axes,
    require_matplotlib,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_MOST_IMAGES = 64


def first_layer_weights(
    model: Any, image_shape: tuple[int, int] | None = None, axes: Any = None
) -> NDArray[Any]:
    """Draw the weights into each unit of the first layer as an image: what the unit looks for.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        Fitted.
    image_shape : tuple of int, optional
        (rows, columns) of an image, whose pixels are the features; a square by default.
    axes : matplotlib.axes.Axes or array of them, optional
        As many units are drawn as there are axes; by default all of them, up to 64.

    Returns
    -------
    ndarray of matplotlib.axes.Axes
        In the shape of `axes`, or that of a grid. All images share one scale, with zero white.

    Raises
    ------
    InputError
        When matplotlib is missing, or the features are no image of this shape.
    """
    require_matplotlib()
    weights = network_of(model, "coefs_").coefs_[0]
    n_features, n_units = weights.shape
    if image_shape is None:
        side = math.isqrt(n_features)
        if side * side != n_features:
            raise InputError(
                f"{n_features} features are no square image; pass image_shape=(rows, columns)"
            )
        image_shape = (side, side)
    if len(tuple(image_shape)) != 2 or math.prod(image_shape) != n_features:
        raise InputError(
            f"image_shape={tuple(image_shape)} does not have the {n_features} pixels of the model"
        )
    if axes is None:
        axes = grid_of_axes(min(n_units, _MOST_IMAGES))
    panels: NDArray[Any] = np.atleast_1d(np.asarray(axes, dtype=object))
    shown = min(n_units, panels.size)
    bound = np.abs(weights[:, :shown]).max() or 1.0
    for k, ax in enumerate(panels.flat):
        ax.set_axis_off()
        if k < shown:
            image = ax.imshow(
                weights[:, k].reshape(image_shape), cmap="RdBu_r", vmin=-bound, vmax=bound
            )
    panels.flat[0].figure.colorbar(image, ax=list(panels.flat), label="weight", shrink=0.8)
    return panels


def activation_functions(
    names: str | Sequence[str] | None = None, ax: Axes | None = None, *, derivatives: bool = False
) -> Axes:
    """Draw curves of activation functions, as training computes them.

    Parameters
    ----------
    names : str or sequence of str, optional
        Values of the parameter ``activation``; all by default.
    ax : matplotlib.axes.Axes, optional
    derivatives : bool, default=False
        Whether to draw the derivatives instead.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        When matplotlib is missing, or for unknown names.
    """
    require_matplotlib()
    known = _activation_formulas()
    names = list(known) if names is None else [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in known:
            raise InputError(f"no activation {name!r}; there are {', '.join(known)}")
    ax = axes_or_new(ax)
    # An even number of points has none at zero, where some have a kink.
    z = np.linspace(-4, 4, 400)
    for k, name in enumerate(names):
        f = known[name]
        if derivatives:
            # Formulas of derivatives take the activation or its argument; differences need not
            # know which. No point is within a step of a kink.
            h = 1e-5
            values = [(f(float(v) + h) - f(float(v) - h)) / (2 * h) for v in z]
        else:
            values = [f(float(v)) for v in z]
        ax.plot(
            z,
            values,
            LINE_STYLES[k % len(LINE_STYLES)],
            color=COLORS[k % len(COLORS)],
            label=name,
            linewidth=2,
            # Colours begin anew: marks tell the second round from the first.
            marker=None if k < len(COLORS) else MARKERS[k % len(COLORS)],
            markevery=(10, 40),
        )
    ax.axhline(0, color="grey", linewidth=0.8, zorder=0)
    ax.axvline(0, color="grey", linewidth=0.8, zorder=0)
    if not derivatives:
        ax.set_ylim(-2.2, 4.2)
    ax.set_xlabel("input z")
    ax.set_ylabel("derivative f'(z)" if derivatives else "activation f(z)")
    ax.grid(alpha=0.3)
    ax.legend(loc="best", ncols=1 + (len(names) > 5))
    return ax


def network_of(model: Any, attribute: str) -> Any:
    """Find the network within a pipeline, a search or a model of a table."""
    model = getattr(model, "best_estimator_", model)
    if hasattr(model, "steps"):
        model = model.steps[-1][1]
    if len(models := getattr(model, "models_", ())) > 1:
        raise InputError(
            f"this model has {len(models)} targets, and a network for each; pass one of its models_"
        )
    model = getattr(model, "estimator_", model)
    if isinstance(members := getattr(model, "members", None), list):
        raise InputError(
            f"this model is a pack of {len(members)} networks, and a single one is needed; set a "
            "parameter of the network, such as hidden_layer_sizes, to train one"
        )
    if not hasattr(model, "hidden_layer_sizes"):
        raise InputError(f"a multilayer perceptron is needed, got {type(model).__name__}")
    check_is_fitted(model, attribute)
    return model


def _activation_formulas() -> dict[str, Callable[[float], float]]:
    """Return the names of activations, each with its formula."""
    return {activation.name.lower(): formula_of(activation) for activation in Activation}
