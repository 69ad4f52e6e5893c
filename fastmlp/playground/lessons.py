"""What the page offers: kinds of data, choices, bounds, and lessons with their settings."""

from typing import Any, NamedTuple

import numpy as np

from ..estimators.parameters import SOLVERS
from ..network.weights import INITIALISERS
from .data import FEATURES, KINDS, RADIUS, made_points
from .frames import GRID, UNIT_GRID
from .settings import (
    ACTIVATIONS,
    LOSSES,
    MOST_LAYERS,
    MOST_PAINTED,
    MOST_UNITS,
    NUMBERS,
    SCHEDULE_NAMES,
    TABLE_BYTES,
    read_settings,
)


class Lesson(NamedTuple):
    """What the page sets up for one to try something.

    Parameters
    ----------
    title : str
    text : str
        What to do, and what to see.
    settings : dict of str to object
        Those that differ from the defaults.
    """

    title: str
    text: str
    settings: dict[str, Any]


# By the names that ``fastmlp playground --lesson`` has for them.
LESSONS = {
    "circle": Lesson(
        "A first network",
        "Press Run. Six hidden units learn where the inner disc ends. Point at a unit to see what "
        "it has learned.",
        {"kind": "circle", "hidden": [4, 2]},
    ),
    "linear-xor": Lesson(
        "Exclusive or: a line cannot",
        "Without hidden units the border is a line, and no line parts these classes: the loss "
        "stays near ln 2 = 0.69. Add the feature x1*x2, or a hidden layer.",
        {"kind": "xor", "hidden": [], "noise": 0.0},
    ),
    "xor": Lesson(
        "Exclusive or: two units can",
        "Each unit draws a line, and the output combines the two. With the seeds 2 and 3 training "
        "is caught with half of it; three units hardly ever are.",
        {"kind": "xor", "hidden": [2], "noise": 0.0},
    ),
    "vanishing": Lesson(
        "Vanishing gradients",
        "Six logistic layers: the slope of the logistic function is at most 1/4, so the gradient "
        "shrinks on its way back. Look at the norms by layer, then choose tanh or relu.",
        {
            "kind": "circle",
            "hidden": [6] * 6,
            "activation": "logistic",
            "solver": "sgd",
            "learning_rate_init": 0.1,
        },
    ),
    "dead-relus": Lesson(
        "Dead relus",
        "The first steps are so large that most units become 0 for every point. They have no "
        "gradient any more, and stay dead. A smaller rate or leaky_relu cures it.",
        {
            "kind": "moons",
            "hidden": [8, 8],
            "activation": "relu",
            "solver": "sgd",
            "learning_rate_init": 1.5,
        },
    ),
    "high-rate": Lesson(
        "Too high a learning rate",
        "The steps overshoot, and the loss grows until it is no number any more. Run it at one "
        "epoch a frame, with a logarithmic curve; then divide the rate by ten.",
        {
            "kind": "hills",
            "hidden": [8],
            "solver": "sgd",
            "learning_rate_init": 0.7,
        },
    ),
    "overfitting": Lesson(
        "Overfitting",
        "Few noisy points and many units: the training loss falls while the test loss rises. Cures "
        "to try: L2 of 1, dropout of 0.3, fewer units, more points.",
        {
            "kind": "moons",
            "n_points": 60,
            "noise": 0.45,
            "test_share": 0.5,
            "hidden": [16, 16],
            "activation": "relu",
        },
    ),
    "overfitting-cured": Lesson(
        "Overfitting, cured by L2",
        "The same points and units with an L2 penalty: smaller weights, a smoother border, and a "
        "test loss that stays down.",
        {
            "kind": "moons",
            "n_points": 60,
            "noise": 0.45,
            "test_share": 0.5,
            "hidden": [16, 16],
            "activation": "relu",
            "alpha": 1.0,
        },
    ),
    "bump": Lesson(
        "A bump from few units",
        "One logistic unit can only rise or fall. Two of them make a bump: one rises, the other "
        "falls. Add units one by one.",
        {
            "kind": "bump",
            "hidden": [1],
            "activation": "logistic",
            "features": ["x1"],
            "noise": 0.02,
        },
    ),
    "wave": Lesson(
        "Any curve from enough units",
        "Universal approximation: with sixteen units the curve follows the points closely.",
        {"kind": "wave", "hidden": [16], "features": ["x1"]},
    ),
    "spiral": Lesson(
        "The spiral",
        "A border that winds needs many bends: width supplies them, and a second layer composes "
        "them. Compare with the features sin(x1) and sin(x2).",
        {"kind": "spiral", "noise": 0.03, "n_points": 300, "hidden": [12, 12]},
    ),
}


def catalogue() -> dict[str, Any]:
    """List all that a page needs before the first session, as plain values."""
    kinds = []
    for name, kind in KINDS.items():
        points = made_points(name, 60, 0.05, 0)
        kinds.append({
            "name": name, "label": kind.label, "is_regression": kind.is_regression,
            "is_line": kind.is_line, "places": np.round(points.places, 2).tolist(),
            "y": np.round(points.y, 2).tolist(),
        })  # fmt: skip
    base = read_settings({})
    return {
        "kinds": kinds,
        "features": list(FEATURES),
        "activations": ACTIVATIONS,
        "solvers": sorted(SOLVERS),
        "schedules": SCHEDULE_NAMES,
        "initialisers": sorted(INITIALISERS),
        "losses": LOSSES,
        "numbers": {key: [least, most, default] for key, (_, least, most, default) in
                    NUMBERS.items()},
        "defaults": {**base.numbers, **base.choices, "features": base.features,
                     "hidden": base.hidden, "activation": base.activation},
        "lessons": [
            {"name": name, **lesson._asdict()} for name, lesson in LESSONS.items()
        ],
        "radius": RADIUS, "grid": GRID, "unit_grid": UNIT_GRID,
        "table_bytes": TABLE_BYTES,
        "most_layers": MOST_LAYERS, "most_units": MOST_UNITS, "most_painted": MOST_PAINTED,
    }  # fmt: skip
