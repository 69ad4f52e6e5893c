"""Universal approximation in one dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..estimators.regressor import MLPRegressor
from .result import Result, fit_all, units

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

WIDTHS = (1, 2, 4, 8, 16, 32)
ACTIVATIONS = ("logistic", "relu")
# L-BFGS stops when the loss changes by less than about 1e-9: larger targets, finer fits.
_SCALE = 100.0


def bump(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the curve that is approximated: a bell of height 1 in the middle of [0, 1]."""
    y: NDArray[np.float64] = np.exp(-(((x - 0.5) / 0.1) ** 2))
    return y


def bump_by_hand(
    x: NDArray[np.float64], gain: float = 30.0, left: float = 0.43, right: float = 0.57
) -> NDArray[np.float64]:
    """Subtract two logistic units that rise steeply at `left` and at `right`.

    `gain` is their input weight. The output weights scale the height in the middle to 1.
    """

    def difference(x: NDArray[np.float64]) -> NDArray[np.float64]:
        rises, falls = (1 / (1 + np.exp(-gain * (x - place))) for place in (left, right))
        return np.asarray(rises - falls)

    middle = difference(np.array((left + right) / 2))
    return np.asarray(difference(x) / middle)


def approximation(seed: int = 0, n_points: int = 201, n_seeds: int = 5) -> Result:
    """Measure the error of the best fit to a bump on [0, 1] by the number of hidden units.

    Parameters
    ----------
    seed : int, default=0
    n_points : int, default=201
        Points of the curve, evenly spaced.
    n_seeds : int, default=5
        Initial weights for each width, of which the one with the least loss counts.

    Returns
    -------
    Result
    """
    x = np.linspace(0, 1, n_points)
    y = bump(x)
    inputs = _scaled(x)
    outputs, errors = {}, {}
    for activation in ACTIVATIONS:
        for width in WIDTHS:
            tried = fit_all(
                [
                    MLPRegressor(
                        hidden_layer_sizes=(width,), activation=activation, solver="lbfgs",
                        alpha=0.0, tol=1e-8, max_iter=1000, random_state=seed + k, diagnose=False,
                    )
                    for k in range(n_seeds)
                ],
                inputs, _SCALE * y,
            )  # fmt: skip
            model = min(tried, key=lambda model: model.loss_)
            outputs[activation, width] = model.predict(inputs) / _SCALE
            errors[activation, width] = _rmse(outputs[activation, width], y)
    rows = [(width, *(errors[a, width] for a in ACTIVATIONS)) for width in WIDTHS]
    by_hand = _rmse(bump_by_hand(x), y)
    trivial = float(np.std(y))
    findings = [
        f"From {units(WIDTHS[0])} to {WIDTHS[-1]} the error (RMSE) falls from {rows[0][1]:.2g} to "
        f"{rows[-1][1]:.2g} with logistic and from {rows[0][2]:.2g} to {rows[-1][2]:.2g} with relu "
        f"units; a constant has {trivial:.2g}.",
        f"The difference of two steep logistic units, set by hand, has {by_hand:.2g}; training "
        f"finds two with {rows[1][1]:.2g}.",
    ]

    def draw(figure: Figure) -> None:
        from .. import plotting

        axes = figure.subplots(1, 3)
        for ax, activation in zip(axes, ACTIVATIONS, strict=False):
            ax.plot(x, y, color="black", linewidth=4, alpha=0.25, label="bump")
            for k, width in enumerate((1, 2, 4, 16)):
                ax.plot(
                    x, outputs[activation, width], plotting.LINE_STYLES[k],
                    color=plotting.COLORS[k], label=units(width, "unit"),
                )  # fmt: skip
            ax.set(title=f"{activation} units", xlabel="x", ylabel="output")
            if activation == "logistic":
                ax.plot(x, bump_by_hand(x), color=plotting.COLORS[5], label="2 units by hand")
        for k, activation in enumerate(ACTIVATIONS):
            axes[2].loglog(
                WIDTHS, [errors[activation, width] for width in WIDTHS],
                plotting.LINE_STYLES[k], marker=plotting.MARKERS[k], color=plotting.COLORS[k],
                label=activation,
            )  # fmt: skip
        axes[2].axhline(trivial, color="black", linestyle=":", label="constant")
        axes[2].set(title="error of the fit", xlabel="hidden units", ylabel="RMSE")
        axes[2].set_xticks(WIDTHS, labels=map(str, WIDTHS), minor=False)
        axes[2].minorticks_off()
        for ax in axes:
            ax.grid(alpha=0.3)
            ax.legend()

    return Result(
        "approximation", "Universal approximation of a bump",
        ("hidden units", *(f"RMSE, {a}" for a in ACTIVATIONS)), rows, findings,
        "Two sigmoid units make a bump, and sums of bumps any continuous curve (Cybenko, 1989). "
        "Relu units draw a polygon, whose error falls as its pieces shrink. What training "
        "reaches may be less than what the units could represent.",
        (15, 4.4), draw,
    )  # fmt: skip


def _rmse(output: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean((output - y) ** 2)))


def _scaled(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map [0, 1] to [-5, 5], where the bends of the initial units lie."""
    return (10 * x - 5)[:, None]
