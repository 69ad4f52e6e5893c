"""Boolean functions from threshold units with weights set by hand."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linprog

from ..estimators.classifier import MLPClassifier
from .result import Result, units

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray


def corners(n_inputs: int) -> NDArray[np.float64]:
    """Return all 2^D rows of D zeros and ones, in the order of a truth table."""
    return np.array(list(product((0.0, 1.0), repeat=n_inputs)))


def universal_network(values: ArrayLike) -> MLPClassifier:
    """Make a network of 2^D threshold units that computes a Boolean function of D inputs.

    Unit c of the hidden layer is on at corner c of the cube alone: its weights are 1 where the
    corner has a 1, and else -1, and its bias is 1/2 less the number of ones, so that its sum is
    1/2 at the corner and -1/2 or less at all others. The output adds up the units of the corners
    at which the function is true.

    Parameters
    ----------
    values : array-like of shape (2^D,)
        The function's values, 0 and 1, in the order of :func:`corners`.

    Returns
    -------
    MLPClassifier
    """
    values = np.asarray(values)
    ones = corners(int(np.log2(len(values))))
    return MLPClassifier.from_weights(
        [2 * ones.T - 1, values[:, None].astype(float)],
        [0.5 - ones.sum(axis=1), [-0.5]],
        activation="step",
    )


def parity_network(n_inputs: int) -> MLPClassifier:
    """Make a network of D threshold units that tells whether an odd number of D inputs is 1.

    Unit k is on where at least k inputs are, k = 1 to D. Added with signs in turn, they give 1 and
    0 in turn.
    """
    k = np.arange(n_inputs)
    return MLPClassifier.from_weights(
        [np.ones((n_inputs, n_inputs)), np.where(k % 2, -1.0, 1.0)[:, None]],
        [-0.5 - k, [-0.5]],
        activation="step",
    )


def is_separable(values: NDArray[np.int_]) -> bool:
    """Tell by a linear program whether one threshold unit computes a Boolean function."""
    X = corners(int(np.log2(len(values))))
    signs = 2 * values[:, None] - 1
    rows = -signs * np.column_stack([np.ones(len(X)), X])
    found = linprog(
        np.zeros(rows.shape[1]), A_ub=rows, b_ub=-np.ones(len(rows)), bounds=(None, None)
    )
    return bool(found.success)


def boolean_functions(seed: int = 0, most_inputs: int = 3, n_drawn: int = 100) -> Result:
    """Compute all Boolean functions of few inputs by threshold units, and some of more.

    Parameters
    ----------
    seed : int, default=0
        Seed of the functions that are drawn where there are too many.
    most_inputs : int, default=3
        The number of inputs up to which all functions are tried, at most 4.
    n_drawn : int, default=100
        Functions of one and of two inputs more that are drawn.

    Returns
    -------
    Result
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[int, str, int, int, int]] = []
    for n_inputs in range(1, most_inputs + 3):
        size = 2**n_inputs
        if n_inputs <= most_inputs:
            functions, chosen = corners(size).astype(int), "all"
        else:
            functions, chosen = rng.integers(0, 2, (n_drawn, size)), "drawn"
        X = corners(n_inputs)
        right = sum(bool((universal_network(f).predict(X) == f).all()) for f in functions)
        separable = sum(map(is_separable, functions))
        rows.append((n_inputs, f"{len(functions)} ({chosen})", separable, right, size))
    parities = {n: _parity(n) for n in range(1, 9)}
    is_right = all(
        bool((parity_network(n).predict(corners(n)) == values).all())
        for n, values in parities.items()
    )
    of_all = rows[most_inputs - 1]
    findings = [
        f"One unit computes {of_all[2]} of the {of_all[1].split()[0]} functions of "
        f"{most_inputs} inputs, and {units(of_all[4], 'threshold unit')} with an output unit "
        f"compute {of_all[3]}.",
        "What a function needs can be less: the parity of D inputs, which no single unit has for "
        f"D > 1, takes D units, one for each count; this is {'right' if is_right else 'wrong'} at "
        f"every corner for D up to {max(parities)}.",
    ]

    def draw(figure: Figure) -> None:
        from .. import plotting

        axes = figure.subplots(1, 3)
        _draw_weights(axes[0])
        n_inputs = np.array([row[0] for row in rows])
        shares = [row[2] / int(row[1].split()[0]) for row in rows]
        axes[1].bar(n_inputs - 0.2, shares, 0.4, color=plotting.COLORS[0], label="one unit")
        solved = [row[3] / int(row[1].split()[0]) for row in rows]
        axes[1].bar(
            n_inputs + 0.2, solved, 0.4, color=plotting.COLORS[1], hatch="//",
            edgecolor="white", label="$2^D$ hidden units",
        )  # fmt: skip
        axes[1].set(title="Boolean functions that are computed", xlabel="inputs D", ylabel="share")
        axes[1].set(ylim=(0, 1.25), xticks=n_inputs)
        axes[1].legend(loc="upper center", ncols=2)
        d = np.arange(1, 9)
        axes[2].semilogy(d, 2.0**d, "o-", color=plotting.COLORS[1], label="any function: $2^D$")
        axes[2].semilogy(d, d, "s--", color=plotting.COLORS[2], label="parity: $D$")
        axes[2].set(title="hidden units that are enough", xlabel="inputs D", ylabel="units")
        axes[2].grid(alpha=0.3)
        axes[2].legend()

    return Result(
        "boolean-functions", "Any Boolean function from threshold units",
        ("inputs", "functions", "by one unit", "by 2^D units", "hidden units"), rows, findings,
        "A hidden unit for each corner of the cube, which is on there alone, and an output that "
        "adds up those where the function is true: such a network computes anything, and has "
        "learned nothing, since it holds the whole table. Networks are of use where few units "
        "are enough.",
        (15, 4.4), draw,
    )  # fmt: skip


def _parity(n_inputs: int) -> NDArray[np.int_]:
    return corners(n_inputs).sum(axis=1).astype(int) % 2


def _draw_weights(ax: Axes) -> None:
    """Draw the hidden weights and biases of the network for exclusive or of three inputs."""
    model = universal_network(_parity(3))
    table = np.column_stack([model.coefs_[0].T, model.intercepts_[0], model.coefs_[1]])
    ax.imshow(table, cmap="RdBu_r", vmin=-3, vmax=3, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        ax.text(
            column, row, f"{value:g}", ha="center", va="center",
            color="white" if abs(value) > 2 else "black",
        )  # fmt: skip
    names = ["".join(str(int(x)) for x in corner) for corner in corners(3)]
    ax.set_xticks(range(5), labels=["$x_1$", "$x_2$", "$x_3$", "bias", "to output"])
    ax.set_yticks(range(8), labels=names)
    ax.axvline(3.5, color="black", linewidth=2)
    ax.set(title="parity of 3 inputs by 8 units", xlabel="weights of the unit")
    ax.set_ylabel("the corner where the unit is on")
