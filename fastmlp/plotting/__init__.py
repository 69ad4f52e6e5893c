"""Pictures of fitted networks, with matplotlib. Needs the ``plot`` extra.

Every function draws into the given axes, or into those of a new figure of pyplot, and returns
them. Colours are told apart by people with any colour vision; lines and markers differ, too.
"""

from .figures import (
    COLORS,
    LINE_STYLES,
    MARKERS,
    check_picture,
    new_figure,
    require_matplotlib,
    save,
)
from .graph import computation_graph
from .networks import activation_functions, first_layer_weights
from .predictions import confusion_matrix, decision_boundary
from .training import learning_curve

__all__ = [
    "COLORS",
    "LINE_STYLES",
    "MARKERS",
    "activation_functions",
    "check_picture",
    "computation_graph",
    "confusion_matrix",
    "decision_boundary",
    "first_layer_weights",
    "learning_curve",
    "new_figure",
    "require_matplotlib",
    "save",
]
