"""Patterns to be told apart wherever they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..estimators.classifier import MLPClassifier
from .result import Result, fit_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

N_POSITIONS = 16
# Places of the pixels that are on. None of the patterns is a shift of another.
PATTERNS = {"A": (0, 1, 2, 3), "B": (0, 1, 2, 8), "C": (0, 1, 4, 5), "D": (0, 2, 4, 6)}


def translation(seed: int = 0, n_copies: int = 20, max_iter: int = 100) -> Result:
    """Tell binary patterns of 4 pixels on a circle of 16 apart, at any position.

    Parameters
    ----------
    seed : int, default=0
    n_copies : int, default=20
        Noisy copies of each pattern at each position, for training and for the test.
    max_iter : int, default=100
        Most epochs.

    Returns
    -------
    Result
    """
    rng = np.random.default_rng(seed)
    everywhere = range(N_POSITIONS)
    even, odd = everywhere[::2], everywhere[1::2]
    train, test = (_noisy(everywhere, n_copies, rng) for _ in range(2))
    hidden = [(), (16,), (64,)]
    models = fit_all([_classifier(h, max_iter, seed) for h in hidden], *train)
    (half,) = fit_all([_classifier((64,), max_iter, seed)], *_noisy(even, n_copies, rng))
    unseen = _noisy(odd, n_copies, rng)
    names = ["linear" if not h else f"{h[0]} relu units" for h in hidden]
    rows = [
        (name, "all", "all", float(model.score(*train)), float(model.score(*test)))
        for name, model in zip(names, models, strict=True)
    ]
    again = float(half.score(*_noisy(even, n_copies, rng)))
    rows.append((names[-1], "even", "even", float("nan"), again))
    rows.append((names[-1], "even", "odd", float("nan"), float(half.score(*unseen))))
    sums = {name: bits.sum(axis=0) for name, bits in _shifts(everywhere).items()}
    equal = len({tuple(total) for total in sums.values()}) == 1
    chance = 1 / len(PATTERNS)
    findings = [
        f"Chance is {chance:.0%}. On other noise the linear model gets {rows[0][4]:.0%}, "
        f"{names[-1]} get {rows[2][4]:.0%}.",
        f"Summed over all shifts the patterns are {'equal' if equal else 'different'}: each pixel "
        f"is on {sums['A'][0]:.0f} times in each, so the mean input to any unit is the same.",
        f"Trained at even positions, the network gets {rows[4][4]:.0%} at odd ones.",
    ]

    def draw(figure: Figure) -> None:
        from .. import plotting

        ((left, right),) = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.5, 1))
        axes = left.subplots(1, len(PATTERNS), sharey=True)
        for ax, (name, bits) in zip(axes, _shifts(everywhere).items(), strict=True):
            ax.imshow(bits, cmap="Greys", vmin=0, vmax=1)
            ax.set(title=f"pattern {name}", xlabel="pixel")
        axes[0].set_ylabel("shift")
        ax = right.subplots()
        labels = [f"{row[0]}\ntrain: {row[1]}, test: {row[2]}" for row in rows]
        bars = ax.barh(
            labels, [row[4] for row in rows], color=plotting.COLORS[0], hatch=["//", "", "", "", ""]
        )
        ax.bar_label(bars, fmt="{:.0%}", padding=3)
        ax.axvline(chance, color="black", linestyle="--", label="chance")
        ax.set(xlim=(0, 1.15), xlabel="test accuracy", title="positions in training and test")
        ax.invert_yaxis()
        ax.legend(loc="lower right")

    return Result(
        "translation", "Patterns under translation",
        ("network", "trained at", "tested at", "training accuracy", "test accuracy"),
        rows, findings,
        "A sum of weighted pixels cannot see a pattern that may stand anywhere (Minsky and "
        "Papert, 1969); hidden units can. But they learn each position by itself: to carry over "
        "to new ones, weights must be shared, as convolutions do.",
        (13, 4.2), draw,
    )  # fmt: skip


def _classifier(hidden: tuple[int, ...], max_iter: int, seed: int) -> MLPClassifier:
    return MLPClassifier(
        hidden, "relu", learning_rate_init=0.01, max_iter=max_iter, random_state=seed,
        diagnose=False,
    )  # fmt: skip


def _shifts(positions: Sequence[int]) -> dict[str, NDArray[np.float64]]:
    """Shift each pattern to these positions, as a matrix of shape (n_positions, 16)."""
    shifted = {}
    for name, places in PATTERNS.items():
        bits = np.zeros(N_POSITIONS)
        bits[list(places)] = 1
        shifted[name] = np.array([np.roll(bits, shift) for shift in positions])
    return shifted


def _noisy(
    positions: Sequence[int], n_copies: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Copy all patterns at these positions, each pixel with noise of its own."""
    shifted = _shifts(positions)
    X = np.concatenate([np.tile(bits, (n_copies, 1)) for bits in shifted.values()])
    y = np.repeat(list(shifted), len(positions) * n_copies)
    return X + 0.2 * rng.normal(size=X.shape), y
