"""The perceptron rule, on classes that a line parts and on exclusive or."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..estimators.classifier import MLPClassifier
from .result import Result, units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
# From one cloud to the other, of length 1.
_DIRECTION = np.array([0.8, 0.6])


@dataclass(frozen=True)
class Course:
    """What the perceptron rule has done.

    Parameters
    ----------
    weights : ndarray of shape (n_corrections + 1, 1 + n_features)
        The bias and the weights before the first correction and after each.
    mistakes : list of int
        Corrections in each epoch.
    period : int or None
        The number of epochs after which weights came back, so that training never ends; None
        where they have not.
    """

    weights: NDArray[np.float64]
    mistakes: list[int]
    period: int | None

    @property
    def has_ended(self) -> bool:
        """Whether an epoch had no mistake."""
        return self.mistakes[-1] == 0

    @property
    def ending(self) -> str:
        """How training has ended, in words."""
        if self.has_ended:
            return "no mistake left"
        return "stopped" if self.period is None else "never ends"


def perceptron_rule(X: NDArray[np.float64], t: NDArray[np.int_], max_epochs: int) -> Course:
    """Train a threshold unit by Rosenblatt's rule, one row after the other, from weights of 0.

    A row that is classified wrongly changes the weights by ``w <- w + (t - y) x``, where the first
    weight is the bias, whose x is 1. Training ends with an epoch without a mistake, or where the
    weights are those after an earlier epoch: the same epochs follow then, for ever.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
    t : ndarray of shape (n_rows,)
        Targets 0 and 1.
    max_epochs : int

    Returns
    -------
    Course
    """
    inputs = np.column_stack([np.ones(len(X)), X])
    w = np.zeros(inputs.shape[1])
    weights, mistakes, seen = [w], [], {w.tobytes(): 0}
    for epoch in range(1, max_epochs + 1):
        n_wrong = 0
        for x, target in zip(inputs, t, strict=True):
            if error := target - int(w @ x > 0):
                w, n_wrong = w + error * x, n_wrong + 1
                weights.append(w)
        mistakes.append(n_wrong)
        if not n_wrong:
            break
        before = seen.setdefault(w.tobytes(), epoch)
        if before < epoch:
            return Course(np.array(weights), mistakes, epoch - before)
    return Course(np.array(weights), mistakes, None)


def perceptron(seed: int = 0, n_points: int = 50, max_epochs: int = 1000) -> Result:
    """Train a threshold unit by the perceptron rule: on "and", two clouds, and exclusive or.

    Parameters
    ----------
    seed : int, default=0
        Seed of the clouds.
    n_points : int, default=50
        Points of each cloud.
    max_epochs : int, default=1000
        Epochs after which the rule is stopped.

    Returns
    -------
    Result
    """
    clouds, classes = _clouds(n_points, np.random.default_rng(seed))
    problems = {
        "and": (CORNERS, np.array([0, 0, 0, 1])),
        "two clouds": (clouds, classes),
        "exclusive or": (CORNERS, np.array([0, 1, 1, 0])),
    }
    courses = {name: perceptron_rule(X, t, max_epochs) for name, (X, t) in problems.items()}
    rows = []
    for name, course in courses.items():
        X, t = problems[name]
        accuracy = float(_unit(course.weights[-1]).score(X, t))
        rows.append((name, len(course.mistakes), sum(course.mistakes), accuracy, course.ending))
    xor = courses["exclusive or"]
    parted = "ends" if courses["two clouds"].has_ended else "is stopped"
    bound = _novikoff(clouds, classes)
    findings = [
        f"A line parts the two clouds, and the rule {parted} after {rows[1][2]} corrections in "
        f"{units(rows[1][1], 'epoch')}. Novikoff's theorem allows (R / margin)^2 = {bound:.4g}, "
        "where the margin is that of the line which the clouds were made with.",
        f"On exclusive or the rule is stopped after {units(len(xor.mistakes), 'epoch')}."
        if xor.period is None
        else f"On exclusive or the weights after {len(xor.mistakes)} epochs are those of "
        f"{units(xor.period, 'epoch')} before: the same corrections come again, for ever.",
    ]

    def draw(figure: Figure) -> None:
        from .. import plotting

        axes = figure.subplots(1, 3)
        for ax, name in zip(axes, ("two clouds", "exclusive or"), strict=False):
            X, t = problems[name]
            _draw_lines(ax, X, t, courses[name])
            ax.set(title=f"{name}: {rows[list(courses).index(name)][4]}")
        for k, (name, course) in enumerate(courses.items()):
            axes[2].plot(
                range(1, len(course.mistakes) + 1), course.mistakes, plotting.LINE_STYLES[k],
                marker=plotting.MARKERS[k], color=plotting.COLORS[k + 2], label=name,
            )  # fmt: skip
        axes[2].set(title="corrections", xlabel="epoch", ylabel="in this epoch")
        axes[2].xaxis.get_major_locator().set_params(integer=True)
        axes[2].yaxis.get_major_locator().set_params(integer=True)
        axes[2].grid(alpha=0.3)
        axes[2].legend()

    return Result(
        "perceptron", "The perceptron rule",
        ("classes", "epochs", "corrections", "accuracy", "ending"), rows, findings,
        "A threshold unit has no gradient, but a rule of its own: add the inputs of an example "
        "that it misses, or subtract them. The rule finds a line where there is one (Rosenblatt, "
        "1958; Novikoff, 1962), and where there is none it never ends (Minsky and Papert, 1969). "
        "Hidden units need another way to learn.",
        (15, 4.4), draw,
    )  # fmt: skip


def _clouds(
    n_points: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int_]]:
    """Make two clouds on both sides of a line, which has a margin of 0.1."""
    X = rng.normal(size=(2 * n_points, 2))
    t = np.arange(2 * n_points) % 2
    along = np.abs(X @ _DIRECTION) + 0.1
    X += ((2 * t - 1) * along - X @ _DIRECTION)[:, None] * _DIRECTION
    return X + _DIRECTION, t


def _novikoff(X: NDArray[np.float64], t: NDArray[np.int_]) -> float:
    """Bound the corrections on the two clouds by the margin of the line between them."""
    inputs, w = np.column_stack([np.ones(len(X)), X]), np.array([-1.0, *_DIRECTION])
    margins = (2 * t - 1) * (inputs @ w) / np.linalg.norm(w)
    radius = np.linalg.norm(inputs, axis=1).max()
    return float((radius / margins.min()) ** 2)


def _unit(w: NDArray[np.float64]) -> MLPClassifier:
    """Return the threshold unit as a network, whose output is nearly 0 or 1."""
    return MLPClassifier.from_weights([w[1:, None], [[20.0]]], [w[:1], [-10.0]], activation="step")


def _draw_lines(
    ax: Axes, X: NDArray[np.float64], t: NDArray[np.int_], course: Course, most: int = 4
) -> None:
    """Draw points, the region of the last weights, and the lines before the last corrections."""
    from .. import plotting

    plotting.decision_boundary(_unit(course.weights[-1]), X, t, ax)
    low, high = ax.get_xlim(), ax.get_ylim()
    earlier = [w for w in course.weights[-1 - most : -1] if np.any(w[1:])]
    for k, (bias, *w) in enumerate(earlier):
        start = -bias * np.array(w) / (np.array(w) @ w)
        ax.axline(
            (start[0], start[1]), (start[0] - w[1], start[1] + w[0]), color="black",
            linestyle=":", linewidth=1 + k / 2, label=None if k else "before the last corrections",
        )  # fmt: skip
    ax.set(xlim=low, ylim=high, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
