"""Backpropagation through a small network, number by number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..estimators.classifier import MLPClassifier
from ..estimators.trace import trace
from .result import Result, fit_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def backpropagation(seed: int = 0, hidden: int = 2, corner: int = 2, max_iter: int = 5) -> Result:
    """Follow one corner of exclusive or through a network and back.

    Parameters
    ----------
    seed : int, default=0
        Seed of the initial weights.
    hidden : int, default=2
        Number of hidden units.
    corner : int, default=2
        Which of the corners (0, 0), (0, 1), (1, 0) and (1, 1), counted from 0.
    max_iter : int, default=5
        Epochs of training before.

    Returns
    -------
    Result
    """
    classes = np.array([0, 1, 1, 0])
    model = MLPClassifier(
        (hidden,), "tanh", alpha=0.0, max_iter=max_iter, random_state=seed, diagnose=False
    )
    fit_all([model], CORNERS, classes)
    graph = trace(model, CORNERS[corner], classes[corner])
    rows = [
        (f"{name}, unit {j + 1}", *map(float, numbers))
        for name, layer in zip(("hidden layer", "output"), graph.layers, strict=True)
        for j, numbers in enumerate(
            zip(layer.z, layer.h, layer.dh_dz, layer.dL_dh, layer.dL_dz, strict=True)
        )
    ]
    output = graph.layers[-1]
    findings = [
        f"The corner ({CORNERS[corner][0]:g}, {CORNERS[corner][1]:g}) has the target "
        f"{graph.t[0]:g}, the network gives it {graph.prediction[0]:.3g}, and the loss is "
        f"{graph.loss:.3g}.",
        f"At the output the error signal is p - t = {output.dL_dz[0]:.3g}; each weight to it has "
        "the gradient of that times the h at its other end.",
        "All gradients together differ from central differences by "
        f"{graph.check():.0e} at most, beside their size.",
    ]

    def draw(figure: Figure) -> None:
        from .. import plotting

        ax = plotting.computation_graph(graph, figure.subplots())
        ax.set_title("forward in black, back in colour")

    return Result(
        "backpropagation", "Backpropagation, number by number",
        ("unit", "z", "h = f(z)", "dh/dz", "dL/dh", "dL/dz"), rows, findings,
        "Each unit multiplies the signal that arrives by its own slope, and hands it on through "
        "its weights. Nothing is computed twice, so that the gradient of all weights costs about "
        "as much as two further passes forward.",
        (11.2, 3.2), draw,
    )  # fmt: skip
