"""What reaches the first of many layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.datasets import load_digits

from ..estimators.classifier import MLPClassifier
from ..estimators.gradient_check import analytic_gradient, objective_of
from ..network.weights import views
from .result import Result, fit_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

NETWORKS = (("logistic", "glorot_normal"), ("tanh", "glorot_normal"), ("relu", "he_normal"))


def vanishing_gradients(
    seed: int = 0, n_layers: int = 10, width: int = 32, n_rows: int = 500, max_iter: int = 60
) -> Result:
    """Compare the gradients' norms of the layers of deep networks at their initial weights.

    Parameters
    ----------
    seed : int, default=0
    n_layers, width : int, defaults 10 and 32
        Hidden layers, and the units of each.
    n_rows : int, default=500
        Images of scikit-learn's digits, the classes.
    max_iter : int, default=60
        Epochs of training with Adam.

    Returns
    -------
    Result
    """
    X, y = load_digits(return_X_y=True)
    X, y = X[:n_rows] / 16, y[:n_rows]
    models = [
        MLPClassifier(
            (width,) * n_layers, activation, init=init, alpha=0.0, max_iter=max_iter, tol=0.0,
            n_iter_no_change=max_iter, random_state=seed, diagnose=False,
        )
        for activation, init in NETWORKS
    ]  # fmt: skip
    norms = np.array([_gradient_norms(model, X, y) for model in models])
    fit_all(models, X, y)
    before, after = ([float(model.loss_curve_[k]) for model in models] for k in (0, -1))
    ratios = [float(n[0] / n[-1]) for n in norms]
    rows = [(f"layer {k + 1}", *map(float, norms[:, k])) for k in range(n_layers + 1)]
    rows += [
        ("first / last", *ratios),
        ("loss, epoch 1", *before),
        (f"loss, epoch {max_iter}", *after),
    ]
    names = [f"{activation}, {init}" for activation, init in NETWORKS]
    findings = [
        f"{name}: the first layer's gradient is {ratio:.2g} times the last one's, and {max_iter} "
        f"epochs take the loss from {a:.3g} to {b:.3g}."
        for name, ratio, a, b in zip(names, ratios, before, after, strict=True)
    ]

    def draw(figure: Figure) -> None:
        from .. import plotting

        gradients, losses = figure.subplots(1, 2)
        for k, (name, model) in enumerate(zip(names, models, strict=True)):
            options = {
                "color": plotting.COLORS[k], "linestyle": plotting.LINE_STYLES[k], "label": name,
            }  # fmt: skip
            gradients.semilogy(
                range(1, n_layers + 2), norms[k], marker=plotting.MARKERS[k], **options
            )
            losses.plot(range(1, max_iter + 1), model.loss_curve_, **options)
        gradients.set(
            title="before training", xlabel="layer (1 is next to the input)",
            ylabel="norm of the weights' gradient",
        )  # fmt: skip
        losses.axhline(np.log(10), color="black", linewidth=0.8, label="guessing, ln 10")
        losses.set(title="training", xlabel="epoch", ylabel="loss", ylim=(0, None))
        for ax in (gradients, losses):
            ax.grid(alpha=0.3)
            ax.legend()

    return Result(
        "vanishing-gradients", f"Gradients through {n_layers} hidden layers",
        ("norm of gradient", *names), rows, findings,
        "The logistic function's slope is at most 1/4, so each layer on the way back shrinks the "
        "gradient, and the first layers hardly learn. Slopes near 1 (tanh, relu), with initial "
        "weights scaled for them, let it through.",
        (12, 4.6), draw,
    )  # fmt: skip


def _gradient_norms(
    model: MLPClassifier, X: NDArray[np.float64], y: NDArray[np.int_]
) -> list[float]:
    """Compute the norm of each layer's gradient at the initial weights, from all rows."""
    objective = objective_of(model, X, y)
    gradient = analytic_gradient(objective)
    return [float(np.linalg.norm(g)) for g in views(gradient, objective.plan.layer_units)[0]]
