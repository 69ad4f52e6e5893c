"""Pictures of fitted networks, with matplotlib. Needs the ``plot`` extra.

Every function draws into the given axes, or into those of a new figure of pyplot, and returns
them. Colours are told apart by people with any colour vision; lines and markers differ, too.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from .exceptions import InputError
from .export.files import check_output, written_aside
from .network.formulas.activations import formula_of
from .network.plan import Activation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from numpy.typing import ArrayLike, NDArray

# The palette of Okabe and Ito (2008), its grey and yellow left out.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINE_STYLES = ("-", "--", "-.", ":")

# More classes than this leave no room for numbers in the cells of a confusion matrix.
_MOST_CLASSES_WITH_NUMBERS = 15
_MOST_IMAGES = 64


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
    network = _network(model, "loss_")
    history = _history(network)
    if beside == "auto":
        beside = "validation_score" if "validation_score" in history else None
    if not history.get("loss"):
        raise InputError(
            f"this {type(network).__name__} (solver={network.solver!r}) has no record of its loss"
        )
    if beside is not None and beside not in history:
        raise InputError(f"there is no record of {beside!r}; there are {', '.join(history)}")
    ax = _axes(ax)
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


def confusion_matrix(model: Any, X: ArrayLike, y: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw how often each class is taken for which: counts, and shares of each row.

    Rows are the true classes, columns the predicted ones.

    Parameters
    ----------
    model : classifier
        Fitted; any with scikit-learn's interface.
    X : array-like of shape (n_samples, n_features)
    y : array-like of shape (n_samples,)
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        Colours are shares. Above 15 classes the cells have no numbers.

    Raises
    ------
    InputError
        When matplotlib is missing, or for a model or `y` that is not of a single label.
    """
    require_matplotlib()
    from sklearn.metrics import ConfusionMatrixDisplay
    from sklearn.metrics import confusion_matrix as count

    if not is_classifier(model):
        raise InputError(f"a confusion matrix needs a classifier, got {type(model).__name__}")
    y = _one_column(y)
    predicted = model.predict(X)
    labels = np.union1d(np.union1d(y, predicted), model.classes_)
    counts = count(y, predicted, labels=labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = _axes(ax)
    display = ConfusionMatrixDisplay(shares, display_labels=labels)
    display.plot(include_values=False, cmap="Blues", ax=ax, im_kw={"vmin": 0, "vmax": 1})
    display.im_.colorbar.set_label("share of the true class")
    if len(labels) <= _MOST_CLASSES_WITH_NUMBERS:
        with_shares = len(labels) <= 5
        for (i, j), number in np.ndenumerate(counts):
            if number or with_shares:
                text = f"{number}\n{shares[i, j]:.0%}" if with_shares else f"{number}"
                color = "white" if shares[i, j] > 0.5 else "black"
                size = None if with_shares else "small"
                ax.text(j, i, text, ha="center", va="center", color=color, size=size)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    return ax


def decision_boundary(model: Any, X: ArrayLike, y: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw what a model of two features predicts over the plane, with the data.

    Parameters
    ----------
    model : classifier or regressor
        Fitted; any with scikit-learn's interface.
    X : array-like of shape (n_samples, 2)
    y : array-like of shape (n_samples,)
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        For two classes the probability of the second one, and the line where it is one half;
        for more the probability of the likeliest class, in the colour of that class; for a
        regressor filled contours of the prediction.

    Raises
    ------
    InputError
        When matplotlib is missing, X has not two columns or y more than one.
    """
    require_matplotlib()
    from matplotlib.colors import LinearSegmentedColormap
    from sklearn.inspection import DecisionBoundaryDisplay

    shape = np.shape(X)
    if len(shape) != 2 or shape[1] != 2:
        raise InputError(
            f"a decision boundary needs X of two features, got shape {shape}; "
            "train on two columns, or on two principal components"
        )
    y = _one_column(y)
    columns = list(getattr(X, "columns", ["feature 1", "feature 2"]))
    points = np.asarray(X, dtype=float)
    ax = _axes(ax)
    options = {
        "ax": ax, "grid_resolution": 200, "eps": 0.1 * float(np.ptp(points, axis=0).max()) or 1.0,
        "xlabel": str(columns[0]), "ylabel": str(columns[1]),
    }  # fmt: skip
    if not is_classifier(model):
        display = DecisionBoundaryDisplay.from_estimator(
            model, X, response_method="predict", levels=20, cmap="viridis", **options
        )
        surface = display.surface_
        ax.scatter(
            points[:, 0], points[:, 1], c=y, cmap="viridis", norm=surface.norm, edgecolors="white"
        )
        ax.figure.colorbar(surface, ax=ax, label="prediction")
        return ax
    classes = model.classes_
    colors = [COLORS[k % len(COLORS)] for k in range(len(classes))]
    if len(classes) == 2:
        between = LinearSegmentedColormap.from_list("classes", [colors[0], "white", colors[1]])
        display = DecisionBoundaryDisplay.from_estimator(
            model, X, response_method="predict_proba", plot_method="pcolormesh",
            cmap=between, vmin=0, vmax=1, alpha=0.6, rasterized=True, **options,
        )  # fmt: skip
        if display.response.min() < 0.5 < display.response.max():
            ax.contour(display.xx0, display.xx1, display.response, levels=[0.5], colors="black")
        ax.figure.colorbar(display.surface_, ax=ax, label=f"probability of {classes[1]}")
    else:
        DecisionBoundaryDisplay.from_estimator(
            model, X, response_method="predict_proba", plot_method="pcolormesh",
            multiclass_colors=colors, vmin=0, vmax=1, alpha=0.6, rasterized=True, **options,
        )  # fmt: skip
    for k, label in enumerate(classes):
        ax.scatter(
            points[y == label, 0],
            points[y == label, 1],
            color=colors[k],
            marker=MARKERS[k % len(MARKERS)],
            edgecolors="white",
            linewidths=0.6,
            label=str(label),
        )
    ax.legend(title="class", loc="best", framealpha=0.9)
    return ax


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
    weights = _network(model, "coefs_").coefs_[0]
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
        axes = _grid(min(n_units, _MOST_IMAGES))
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
    ax = _axes(ax)
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


def new_figure(width: float = 6.4, height: float = 4.8) -> Figure:
    """Make an empty figure apart from pyplot, for files; no window opens.

    Parameters
    ----------
    width, height : float
        In inches.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        When matplotlib is missing.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def check_picture(path: str | os.PathLike[str]) -> str:
    """Refuse a picture that could not be written, before any work is done for it.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    str
        Its format, such as 'png'.

    Raises
    ------
    InputError
        When matplotlib is missing, it writes no files of this ending, the path is a folder, or
        its folder is missing or cannot be written to.
    """
    require_matplotlib()
    from matplotlib.backend_bases import FigureCanvasBase

    known = FigureCanvasBase.get_supported_filetypes()
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in known:
        raise InputError(f"{path}: pictures end in one of .{', .'.join(sorted(known))}")
    check_output(path)
    return ending


def save(figure: Figure | Axes, path: str | os.PathLike[str], *, dpi: float = 150) -> None:
    """Write a figure to a file that appears whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure or matplotlib.axes.Axes
        For axes, the figure that they are in.
    path : str or Path
        Its ending says the format: ``.png``, ``.pdf``, ``.svg`` and others of matplotlib.
    dpi : float, default=150
        Pixels an inch.

    Raises
    ------
    InputError
        See :func:`check_picture`.
    """
    picture_format = check_picture(path)
    whole: Any = figure.get_figure() or figure
    with written_aside(path) as aside:
        whole.savefig(aside, format=picture_format, dpi=dpi)


def require_matplotlib() -> None:
    """Refuse to draw without matplotlib.

    Raises
    ------
    InputError
        When matplotlib is missing; the message says how to install it.
    """
    try:
        importlib.import_module("matplotlib")
    except ModuleNotFoundError:
        raise InputError(
            "pictures need the package matplotlib: pip install 'fastmlp[plot]'"
        ) from None


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    from matplotlib import pyplot

    return pyplot.subplots(layout="constrained")[1]


def _grid(n: int) -> NDArray[Any]:
    """Make at least `n` axes in a figure of pyplot."""
    from matplotlib import pyplot

    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    size = (1.1 * columns + 1, 1.1 * rows)
    return pyplot.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")[1]


def _network(model: Any, attribute: str) -> Any:
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


def _one_column(y: ArrayLike) -> NDArray[Any]:
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(f"y must have one column, got shape {y.shape}")
    return y


def _activation_formulas() -> dict[str, Callable[[float], float]]:
    """Return the names of activations, each with its formula."""
    return {activation.name.lower(): formula_of(activation) for activation in Activation}
