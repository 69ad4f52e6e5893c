"""Two classes in the plane that no line parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..estimators.classifier import MLPClassifier
from .result import Result, fit_all, units

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def spiral(seed: int = 0, n_points: int = 200, max_iter: int = 600) -> Result:
    """Separate two intertwined spirals.

    Parameters
    ----------
    seed : int, default=0
    n_points : int, default=200
        Points of each class, for training and as many again for the test.
    max_iter : int, default=600
        Most epochs.

    Returns
    -------
    Result
    """
    rng = np.random.default_rng(seed)
    train, test = spiral_points(n_points, rng), spiral_points(n_points, rng)
    cases = [(), (8,), (32,), (32, 32)]
    models = fit_all(
        [
            MLPClassifier(
                hidden, "tanh", learning_rate_init=0.01, batch_size=min(32, 2 * n_points),
                max_iter=max_iter, n_iter_no_change=50, random_state=seed, diagnose=False,
            )
            for hidden in cases
        ],
        *train,
    )  # fmt: skip
    rows = [
        (_network(hidden), float(model.score(*train)), float(model.score(*test)), model.n_iter_)
        for hidden, model in zip(cases, models, strict=True)
    ]
    findings = [
        f"The linear model gets {rows[0][2]:.0%} of new points, the network 2-{rows[-1][0]}-1 "
        f"gets {rows[-1][2]:.0%}.",
    ]

    def draw(figure: Figure) -> None:
        from .. import plotting

        axes = figure.subplots(1, 3)
        for ax, k in zip(axes, (0, -1), strict=False):
            plotting.decision_boundary(models[k], *test, ax)
            ax.set(title=f"{rows[k][0]}: {rows[k][2]:.0%} of test points", aspect="equal")
            ax.set(xlabel="$x_1$", ylabel="$x_2$")
        for k, (model, row) in enumerate(zip(models, rows, strict=True)):
            # The linear model's training soon ends, where all losses are nearly the same: it lies
            # above the others, and a thin line goes on with its loss.
            axes[2].semilogy(
                np.arange(1, model.n_iter_ + 1), model.loss_curve_, plotting.LINE_STYLES[k],
                color=plotting.COLORS[k], label=row[0], linewidth=1.5 if k else 4,
                zorder=2 if k else 3,
            )  # fmt: skip
        axes[2].axhline(models[0].loss_, color=plotting.COLORS[0], linewidth=1)
        axes[2].set(title="training", xlabel="epoch", ylabel="loss")
        axes[2].grid(alpha=0.3)
        axes[2].legend(title="hidden layers")

    return Result(
        "spiral", "Two intertwined spirals",
        ("hidden layers", "training accuracy", "test accuracy", "epochs"), rows, findings,
        "A boundary that winds needs many bends: width supplies them, and a second layer "
        "composes them.",
        (15, 4.2), draw,
    )  # fmt: skip


def circle(seed: int = 0, n_points: int = 200, n_seeds: int = 10) -> Result:
    """Separate an inner disc from the ring around it.

    Parameters
    ----------
    seed : int, default=0
    n_points : int, default=200
        Points of each class, for training and as many again for the test.
    n_seeds : int, default=10
        Initial weights for each width, of which the one with the least loss counts.

    Returns
    -------
    Result
    """
    rng = np.random.default_rng(seed)
    train, test = circle_points(n_points, rng), circle_points(n_points, rng)
    widths = (0, 1, 2, 3, 4, 8)
    models = []
    for width in widths:
        tried = fit_all(
            [
                MLPClassifier(
                    (width,) if width else (), "tanh", solver="lbfgs", alpha=1e-2, max_iter=500,
                    random_state=seed + k, diagnose=False,
                )
                for k in range(n_seeds if width else 1)
            ],
            *train,
        )  # fmt: skip
        models.append(min(tried, key=lambda model: model.loss_))
    rows = [
        (width, float(model.score(*train)), float(model.score(*test)))
        for width, model in zip(widths, models, strict=True)
    ]
    findings = [
        f"{'linear' if width == 0 else units(width)}: {accuracy:.0%} of new points"
        for width, _, accuracy in rows[:4]
    ]
    findings = ["; ".join(findings) + "."]

    def draw(figure: Figure) -> None:
        from .. import plotting

        for ax, k in zip(figure.subplots(1, 3), (0, 2, 3), strict=True):
            plotting.decision_boundary(models[k], *test, ax)
            name = units(widths[k]) if widths[k] else "linear"
            ax.set(title=f"{name}: {rows[k][2]:.0%} of test points", aspect="equal")
            ax.set(xlabel="$x_1$", ylabel="$x_2$")
            low, high = ax.get_xlim(), ax.get_ylim()
            for weights, bias in zip(models[k].coefs_[0].T, models[k].intercepts_[0], strict=True):
                start = -bias * weights / (weights @ weights)
                if widths[k]:
                    ax.axline(
                        start,
                        start + np.array([-weights[1], weights[0]]),
                        color="black",
                        linestyle=":",
                    )
            ax.set(xlim=low, ylim=high)

    return Result(
        "circle", "A disc within a ring", ("hidden units", "training accuracy", "test accuracy"),
        rows, findings,
        "Each hidden unit is a soft half-plane (its edge is dotted). Two of them leave the "
        "region between open; three can enclose it.",
        (15, 4.2), draw,
    )  # fmt: skip


def _network(hidden: tuple[int, ...]) -> str:
    return "-".join(map(str, hidden)) or "linear"


def spiral_points(
    n_points: int, rng: np.random.Generator, noise: float = 0.1
) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """Make spirals of 1.75 turns and radius 5, half a turn apart, with noise."""
    along = np.linspace(0.05, 1, n_points)
    arms = []
    for half_turn in (0, np.pi):
        angle = 1.75 * along * 2 * np.pi + half_turn
        arms.append(5 * along[:, None] * np.column_stack([np.sin(angle), np.cos(angle)]))
    X = np.concatenate(arms)
    return X + noise * rng.normal(size=X.shape), np.repeat([0, 1], n_points)


def circle_points(
    n_points: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """Fill a disc of radius 2.5, and a ring from radius 3.5 to 5 around it."""
    radius = np.concatenate([rng.uniform(0, 2.5, n_points), rng.uniform(3.5, 5, n_points)])
    angle = rng.uniform(0, 2 * np.pi, 2 * n_points)
    X = radius[:, None] * np.column_stack([np.sin(angle), np.cos(angle)])
    return X, np.repeat([1, 0], n_points)
