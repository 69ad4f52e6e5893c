"""Small problems that show what hidden units are for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimators.classifier import MLPClassifier
from .result import Result, fit_all, units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
_XOR = np.array([0, 1, 1, 0])


def _restarts(
    hidden: tuple[int, ...],
    activation: str,
    X: NDArray[Any],
    y: NDArray[Any],
    seed: int,
    n_seeds: int,
    alpha: float = 1e-5,
) -> list[MLPClassifier]:
    """Train networks from `n_seeds` initial weights to the end by L-BFGS."""
    estimators = [
        MLPClassifier(
            hidden, activation, solver="lbfgs", alpha=alpha, max_iter=500,
            random_state=seed + k, diagnose=False,
        )
        for k in range(n_seeds)
    ]  # fmt: skip
    return fit_all(estimators, X, y)


def _search(
    cases: Iterable[tuple[int, str]],
    X: NDArray[Any],
    y: NDArray[Any],
    seed: int,
    n_seeds: int,
    alpha: float = 1e-5,
) -> list[tuple[MLPClassifier, float, int]]:
    """Find the best network, its accuracy and the count of perfect ones for each case.

    A case is a number of hidden units and their activation.
    """
    found = []
    for n_units, activation in cases:
        hidden = (n_units,) if n_units else ()
        models = _restarts(hidden, activation, X, y, seed, n_seeds, alpha)
        scores = [float(model.score(X, y)) for model in models]
        best = models[int(np.argmax(scores))]
        found.append((best, max(scores), scores.count(1.0)))
    return found


def xor(seed: int = 0, n_seeds: int = 20) -> Result:
    """Solve exclusive or: no line parts the classes, two hidden units do.

    Parameters
    ----------
    seed : int, default=0
    n_seeds : int, default=20
        Initial weights that are tried for each network.

    Returns
    -------
    Result
    """
    X, y = _CORNERS, _XOR
    cases = [(0, "none")] + [(n, a) for n in (1, 2, 4, 8) for a in ("tanh", "relu")]
    found = _search([(n, "tanh" if a == "none" else a) for n, a in cases], X, y, seed, n_seeds)
    rows = [
        (n, activation, best, solved, n_seeds)
        for (n, activation), (_, best, solved) in zip(cases, found, strict=True)
    ]
    # The likelihood's optimum need not be the best line: leave out each corner in turn, too.
    three = [np.delete(np.arange(4), k) for k in range(4)]
    lines = [_restarts((), "tanh", X[part], y[part], seed, 1)[0] for part in three]
    best_line = max([found[0][1], *(float(line.score(X, y)) for line in lines)])
    rows[0] = (0, "none", best_line, 0, n_seeds)
    two = {row[1]: row for row in rows if row[0] == 2}
    findings = [
        f"The best linear model gets {best_line:.0%} of the four corners.",
        f"With 2 hidden units {two['tanh'][3]} of {n_seeds} initial weights lead to a solution "
        f"with tanh, {two['relu'][3]} with relu; with 8 hidden units {rows[-2][3]} and "
        f"{rows[-1][3]}.",
    ]
    solved = max(found[3:5], key=lambda case: case[1])[0]

    def draw(figure: Figure) -> None:
        from .. import plotting

        axes = figure.subplots(1, 3)
        linear = max(lines, key=lambda line: line.score(X, y))
        for ax, model, title in (
            (axes[0], linear, f"linear: {linear.score(X, y):.0%}"),
            (axes[1], solved, f"2 hidden units ({solved.activation}): {solved.score(X, y):.0%}"),
        ):
            plotting.decision_boundary(model, X, y, ax)
            ax.set(title=title, xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
            ax.legend(title="class", loc="center")
        hidden = X @ solved.coefs_[0] + solved.intercepts_[0]
        hidden = np.tanh(hidden) if solved.activation == "tanh" else np.maximum(hidden, 0)
        _draw_hidden_space(axes[2], hidden, y, solved.coefs_[1][:, 0], solved.intercepts_[1][0])

    return Result(
        "xor", "Exclusive or", ("hidden units", "activation", "best accuracy", "solved", "of"),
        rows, findings,
        "The hidden layer maps the corners to where one line parts the classes. That a network "
        "can represent a solution does not mean that training finds it: more units than are "
        "needed make success likelier.",
        (13, 4), draw,
    )  # fmt: skip


def _draw_hidden_space(
    ax: Axes,
    hidden: NDArray[np.float64],
    y: NDArray[Any],
    weights: NDArray[np.float64],
    bias: float,
) -> None:
    """Draw the corners as the output unit sees them, and the line that it makes."""
    from .. import plotting

    spread = max(float(np.ptp(hidden)), 1e-3)
    for k in (0, 1):
        ax.scatter(
            hidden[y == k, 0], hidden[y == k, 1], color=plotting.COLORS[k],
            marker=plotting.MARKERS[k], s=70, edgecolors="white", label=f"{k}", zorder=3,
        )  # fmt: skip
    # Corners of one class may nearly coincide: name all that lie in one place at once.
    places: list[tuple[NDArray[np.float64], list[str]]] = []
    for point, corner in zip(hidden, _CORNERS, strict=True):
        near = [names for place, names in places if np.abs(place - point).max() < 0.2 * spread]
        names = near[0] if near else []
        if not near:
            places.append((point, names))
        names.append(f"({corner[0]:.0f},{corner[1]:.0f})")
    for (x1, x2), names in places:
        ax.annotate(
            " ".join(names), (x1, x2), xytext=(0, 12), textcoords="offset points", ha="center"
        )
    margin = 0.25 * spread
    low, high = hidden.min(axis=0) - margin, hidden.max(axis=0) + margin
    start = -bias * weights / (weights @ weights)
    ax.axline(
        (start[0], start[1]),
        (start[0] - weights[1], start[1] + weights[0]),
        color="black",
        label="output = 1/2",
    )
    ax.set(
        xlim=(low[0], high[0]), ylim=(low[1], high[1]), title="in the hidden layer",
        xlabel="hidden unit 1", ylabel="hidden unit 2",
    )  # fmt: skip
    ax.grid(alpha=0.3)
    ax.legend(title="class", loc="best")


# Exclusive or is "or, but not and". Columns of _W1: the units "or" and "and".
_W1 = np.array([[1.0, 1.0], [1.0, 1.0]])
_B1 = np.array([-0.5, -1.5])
_W2 = np.array([[1.0], [-1.0]])
_B2 = np.array([-0.5])


def threshold_units(seed: int = 0, gains: Sequence[float] = (2, 5, 10, 20, 40)) -> Result:
    """Make exclusive or from threshold units with weights set by hand, and logistic units alike.

    Parameters
    ----------
    seed : int, default=0
        Has no effect: all weights are set.
    gains : sequence of float
        Factors by which the weights of the logistic networks are larger.

    Returns
    -------
    Result
    """
    X, y = _CORNERS, _XOR
    hidden = (X @ _W1 + _B1 > 0).astype(int)
    output = _network_by_hand(1, "step").predict(X)
    models = [_network_by_hand(gain, "logistic") for gain in gains]
    probabilities = [model.predict_proba(X)[:, 1] for model in models]
    rows = [
        (f"{a:.0f} {b:.0f}", *map(int, units_on), int(out), *(float(p[k]) for p in probabilities))
        for k, ((a, b), units_on, out) in enumerate(zip(X, hidden, output, strict=True))
    ]
    errors = [float(np.abs(p - output).max()) for p in probabilities]
    findings = [
        f"The threshold units give exclusive or in {int((output == y).sum())} of 4 cases.",
        f"Logistic units with {gains[0]:g} times the weights differ from them by up to "
        f"{errors[0]:.2g}, with {gains[-1]:g} times the weights by up to {errors[-1]:.2g}.",
    ]

    def draw(figure: Figure) -> None:
        from .. import plotting

        axes = figure.subplots(1, 3)
        for ax, k in zip(axes[:2], (0, len(gains) - 1), strict=True):
            plotting.decision_boundary(models[k], X, y, ax)
            limits = ax.get_xlim(), ax.get_ylim()
            for unit, style in enumerate(("--", ":")):
                ax.axline(
                    (0, -_B1[unit] / _W1[1, unit]), slope=-_W1[0, unit] / _W1[1, unit],
                    color=plotting.COLORS[unit + 2], linestyle=style, linewidth=3,
                    label=f"unit {('or', 'and')[unit]}",
                )  # fmt: skip
            ax.set(xlim=limits[0], ylim=limits[1], xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
            ax.set_title(f"logistic units, weights times {gains[k]:g}")
            ax.legend(loc="center", framealpha=0.9)
        z = np.linspace(-1, 1, 401)
        for k, gain in enumerate(gains):
            axes[2].plot(
                z, 1 / (1 + np.exp(-gain * z)), plotting.LINE_STYLES[k % 4],
                color=plotting.COLORS[k % 7], label=f"logistic, times {gain:g}",
            )  # fmt: skip
        axes[2].step(z, z > 0, color="black", label="threshold")
        axes[2].set(title="one unit", xlabel="weighted sum of its inputs", ylabel="output")
        axes[2].grid(alpha=0.3)
        axes[2].legend(loc="lower right")

    return Result(
        "threshold-units", "Exclusive or by hand",
        ("x1 x2", "or", "and", "threshold net", *(f"logistic x{gain:g}" for gain in gains)),
        rows, findings,
        "A threshold unit cuts the plane by a line; a unit above two of them combines the half-"
        "planes: or, but not and. A logistic unit with large weights is as good as a threshold, "
        "and has a derivative, which is what training needs.",
        (13, 4), draw,
    )  # fmt: skip


def _network_by_hand(gain: float, activation: str) -> MLPClassifier:
    """Return the network for "or, but not and", with `gain` times its weights."""
    return MLPClassifier.from_weights(
        [gain * _W1, gain * _W2], [gain * _B1, gain * _B2], activation=activation
    )


def three_points(seed: int = 0, n_seeds: int = 20) -> Result:
    """Separate three points on a line, the middle one of another class, by two relu units.

    Parameters
    ----------
    seed : int, default=0
    n_seeds : int, default=20
        Initial weights that are tried for each network.

    Returns
    -------
    Result
    """
    X, y = np.array([[-1.0], [0.0], [1.0]]), np.array(["+", "-", "+"])
    widths = (0, 1, 2, 3, 4, 8)
    # With a penalty the probabilities do not saturate, so that the fitted function can be shown.
    found = _search([(n, "relu") for n in widths], X, y, seed, n_seeds, alpha=1e-2)
    rows = [(n, best, solved, n_seeds) for n, (_, best, solved) in zip(widths, found, strict=True)]
    # |x| - 1/2 = relu(x) + relu(-x) - 1/2
    hand = np.maximum(X, 0) + np.maximum(-X, 0) - 0.5
    right = int((np.where(hand[:, 0] > 0, "+", "-") == y).sum())
    findings = [
        f"A linear model and a single relu unit get {rows[0][1]:.0%} and {rows[1][1]:.0%} at best: "
        "both are monotone in x.",
        f"Two relu units can: relu(x) + relu(-x) - 1/2 has the right sign at {right} of 3 points. "
        f"Training finds such a solution from {rows[2][2]} of {n_seeds} initial weights, with "
        f"{widths[-1]} units from {rows[-1][2]}.",
    ]

    def draw(figure: Figure) -> None:
        from .. import plotting

        ax = figure.subplots()
        x = np.linspace(-2, 2, 401)[:, None]
        for k, (n, (model, best, _)) in enumerate(zip(widths[:3], found, strict=False)):
            # The sum into the output unit shows the straight pieces; the probability bends them.
            log_odds = _log_odds(model, x)
            name = "linear" if n == 0 else units(n, "relu unit")
            ax.plot(
                x[:, 0], log_odds, plotting.LINE_STYLES[k],
                color=plotting.COLORS[k + 2], linewidth=2, label=f"{name}: {best:.0%}",
            )  # fmt: skip
        changes = x[:-1, 0][np.diff(np.sign(log_odds)) != 0]
        for k, at in enumerate(changes):
            ax.axvline(
                at, color="grey", linestyle=":", label=None if k else "boundary, 2 relu units"
            )
        ax.axhline(0, color="black", linewidth=0.8)
        for k, label in enumerate("-+"):
            ax.plot(
                X[y == label, 0], np.zeros((y == label).sum()), plotting.MARKERS[k],
                color=plotting.COLORS[k], markersize=11, markeredgecolor="white",
                linestyle="none", label=f"class {label}", zorder=3,
            )  # fmt: skip
        ax.set(xlabel="x", ylabel="log-odds of class +", title="Three points on a line")
        ax.grid(alpha=0.3)
        figure.legend(loc="outside lower center", ncols=3)

    return Result(
        "three-points", "Three points on a line",
        ("relu units", "best accuracy", "solved", "of"), rows, findings,
        "A relu unit bends a line once. A function that falls and rises again needs two bends, "
        "and with few units training often ends where a unit is zero at all points.",
        (7.5, 4.8), draw,
    )  # fmt: skip


def _log_odds(model: MLPClassifier, X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the sum into the single output unit of a relu network, or a linear one."""
    for weights, biases in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        X = np.maximum(X @ weights + biases, 0)
    out: NDArray[np.float64] = (X @ model.coefs_[-1] + model.intercepts_[-1])[:, 0]
    return out if model.classes_[1] == "+" else -out
