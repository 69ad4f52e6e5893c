"""What a model predicts: the confusion matrix, and the plane of two features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier

from ..exceptions import InputError
from .figures import COLORS, MARKERS, axes_or_new, require_matplotlib

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

# More classes than this leave no room for numbers in the cells of a confusion matrix.
_MOST_CLASSES_WITH_NUMBERS = 15


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
    ax = axes_or_new(ax)
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
    ax = axes_or_new(ax)
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


def _one_column(y: ArrayLike) -> NDArray[Any]:
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise InputError(f"y must have one column, got shape {y.shape}")
    return y
