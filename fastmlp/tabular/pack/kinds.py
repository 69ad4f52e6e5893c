"""The kinds of networks in a pack, and how many of which a table gets."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...schedules import MultiCycle

# Name and range of each group of a preprocessor's inputs.
Groups = Mapping[str, tuple[int, int]]

LINEAR = "linear"
# The penalty of the logistic regression, 1 / C in scikit-learn's terms. That of the ridge
# regression is chosen by the rows.
_ALPHA_OF_LINEAR = 1.0
_ITERATIONS_OF_LINEAR = 100
_TOLERANCE_OF_LINEAR = 1e-3
_N_BINS = 12
# Above this number of rows, kinds that one fold gives no weight are trained on no further fold.
_MOST_ROWS_WITHOUT_RACE = 3000
# Up to so many rows there are so many folds; above the last, four of five folds are held out once.
_FOLDS = ((600, 8), (1500, 6), (3000, 5))
_FOLDS_OF_MANY_ROWS = 5, 4
_FOLDS_OF_VERY_MANY_ROWS = 10, 2
# Below so many training rows a batch has so many rows; from the last on it has 256.
_BATCHES = ((800, 32), (2500, 64), (12000, 128))
_LARGEST_BATCH = 256
# Above so many rows each epoch has so many steps that fewer epochs, and fewer folds, are enough.
_MANY_ROWS = 25_000
_FEWEST_EPOCHS = 8
_EPOCHS_OF_LINEAR_QUANTILES = 48


@dataclass(frozen=True)
class Kind:
    """One kind of network. Where two numbers are given, the second one is for regression.

    Parameters
    ----------
    name : str
    first, last : str
        The groups of inputs that it sees: from the first to the last one.
    hidden : tuple of int
        Units of the hidden layers; () for the linear model.
    activations : tuple of str
    rates : tuple of float
        Peak of the learning rate.
    weight_decay : float
    dropout : float
    epochs : int
        The most epochs; training ends with a cycle of the learning rate that brings no gain, and
        each cycle is about twice as long as the one before.
    cycles : int
        Most cycles of the learning rate.
    is_of_log : bool
        Whether it learns the logarithm of the target.
    """

    name: str
    first: str
    last: str
    hidden: tuple[int, ...] = ()
    activations: tuple[str, str] = ("relu", "relu")
    rates: tuple[float, float] = (0.002, 0.003)
    weight_decay: float = 0.0
    dropout: float = 0.0
    epochs: int = 0
    cycles: int = 5
    is_of_log: bool = False

    def columns(self, groups: Groups) -> tuple[int, int]:
        """Return the range of the inputs that networks of this kind see."""
        return groups[self.first][0], groups[self.last][1]

    def network_parameters(
        self, task: str, n_rows: int, levels: tuple[float, ...] = ()
    ) -> dict[str, Any]:
        """Return the parameters of a network of this kind.

        Parameters
        ----------
        task : {'classification', 'regression'}
        n_rows : int
            Number of the rows that it is trained on.
        levels : tuple of float, default=()
            Levels of the quantiles that it predicts, if it does.

        Returns
        -------
        dict of str to object
            Parameters of :class:`fastmlp.MLPClassifier` or :class:`fastmlp.MLPRegressor`.
        """
        is_regression = task == "regression"
        if not self.hidden and not levels:
            return {
                "hidden_layer_sizes": (),
                "solver": "lbfgs",
                "alpha": _ALPHA_OF_LINEAR,
                "max_iter": _ITERATIONS_OF_LINEAR,
                "tol": _TOLERANCE_OF_LINEAR,
                "diagnose": False,
            }
        # The pinball loss has no curvature that L-BFGS could use.
        most = self.epochs or _EPOCHS_OF_LINEAR_QUANTILES
        epochs = max(_FEWEST_EPOCHS, round(most * min(1.0, _MANY_ROWS / n_rows)))
        return {
            **({"loss": "quantile", "quantiles": levels} if levels else {}),
            "hidden_layer_sizes": self.hidden,
            "activation": self.activations[is_regression],
            "solver": "adamw",
            "alpha": 0.0,
            "batch_size": min(n_rows, batch_rows(n_rows)),
            "learning_rate_init": self.rates[is_regression],
            "lr_schedule": MultiCycle(self.cycles),
            "max_iter": min(most, epochs),
            "beta_2": 0.95,
            "weight_decay": self.weight_decay,
            "dropout": self.dropout,
            "early_stopping": True,
            "scoring": "loss",
            "tol": 0.0,
            "n_iter_no_change": inf,
            "diagnose": False,
        }


PLE = Kind("ple", "base", "bins", (256, 64), rates=(0.004, 0.006), weight_decay=0.3, epochs=64)
TREE = Kind(
    "tree", "tree", "base", (128, 128, 128), activations=("selu", "silu"), dropout=0.15, epochs=80
)
PLAIN = Kind(
    "plain",
    "base",
    "base",
    (256, 256, 256),
    rates=(0.003, 0.0045),
    weight_decay=0.15,
    epochs=96,
)
SMALL_PLAIN = replace(PLAIN, hidden=(128, 128, 128))
LINEAR_KIND = Kind(LINEAR, "base", "linear")
KINDS: tuple[Kind, ...] = (PLE, TREE, PLAIN, LINEAR_KIND)
# It is tried where a class is rare, whose few rows cannot tell many coefficients.
OF_RARE = Kind("logistic", "base", "base")
_SHARE_OF_RARE = 0.05
# It is tried for a target with a heavy tail.
OF_LOG = replace(SMALL_PLAIN, name="log", is_of_log=True)
_KINDS_OF_HIGH_EFFORT = (
    *KINDS[:-1],
    Kind("wide", "base", "bins", (256, 256, 256), weight_decay=0.3, epochs=64),
    Kind("deep", "base", "bins", (128,) * 3, rates=(0.003, 0.0045), weight_decay=0.3, epochs=64),
    Kind("pruned", "tree", "base", (128,) * 3, rates=(0.003, 0.0045), weight_decay=0.3, epochs=80),
    replace(PLAIN, name="decayed", weight_decay=0.4),
    LINEAR_KIND,
)
# The one network of low effort.
_QUICK = replace(PLE, epochs=32, cycles=4)
_FOLDS_OF_LOW_EFFORT = 7
# Above so many rows of more than two classes, the larger layers of the kind plain are of use.
_MOST_ROWS_OF_SMALL_LAYERS = 1500
# Below so many rows the edges of trees are not learned well enough.
_FEWEST_ROWS_OF_TREES = 500


def batch_rows(n_rows: int) -> int:
    """Return the number of rows of a mini-batch for so many training rows."""
    for limit, size in _BATCHES:
        if n_rows < limit:
            return size
    return _LARGEST_BATCH


@dataclass(frozen=True)
class Plan:
    """Which networks a pack tries.

    Parameters
    ----------
    kinds : tuple of Kind
        The most useful ones first.
    n_folds : int
        Number of parts that the rows are cut into.
    n_held : int
        Number of parts that are held out, each by one network of each kind.
    has_race : bool
        Whether kinds that the first fold gives no weight are trained no further.
    """

    kinds: tuple[Kind, ...]
    n_folds: int
    n_held: int
    has_race: bool

    @property
    def encoding(self) -> dict[str, Any]:
        """The parameters of the preprocessor that makes the inputs of all kinds."""
        groups = {group for kind in self.kinds for group in (kind.first, kind.last)}
        edges = {(True, True): "both", (False, True): "tree"}.get(
            (bool(groups & {"bins", "linear"}), "tree" in groups), "quantile"
        )
        return {
            "n_bins": _N_BINS if groups & {"tree", "bins", "linear"} else 0,
            "bin_edges": edges,
            "target_means": True,
            "number_means": True,
            "linear": "linear" in groups,
        }


def plan_for(n_rows: int, effort: str, members: int | str, n_classes: int = 0) -> Plan:
    """Choose the networks of a pack.

    Parameters
    ----------
    n_rows : int
        Number of rows with a weight.
    effort : {'low', 'default', 'high'}
    members : int or 'auto'
        About how many networks there shall be at most, beside the linear one.
    n_classes : int, default=0
        Number of classes; 0 for a regression.

    Returns
    -------
    Plan
    """
    n_folds, n_held = _FOLDS_OF_MANY_ROWS
    for most, number in _FOLDS:
        if n_rows <= most:
            n_folds = n_held = number
            break
    if n_rows > 2 * _MANY_ROWS:
        n_folds, n_held = _FOLDS_OF_VERY_MANY_ROWS
    has_race = n_rows > _MOST_ROWS_WITHOUT_RACE
    is_small = n_classes <= 2 or n_rows <= _MOST_ROWS_OF_SMALL_LAYERS
    trees = (TREE,) if n_rows >= _FEWEST_ROWS_OF_TREES else ()
    kinds: tuple[Kind, ...] = (PLE, *trees, SMALL_PLAIN if is_small else PLAIN, LINEAR_KIND)
    if effort == "low":
        kinds, n_folds, n_held, has_race = (_QUICK,), _FOLDS_OF_LOW_EFFORT, 1, False
    elif effort == "high":
        most_folds = max(number for _, number in _FOLDS)
        n_folds = max(n_folds, 0 if has_race else most_folds)
        kinds, n_held, has_race = _KINDS_OF_HIGH_EFFORT, n_folds, False
    if not isinstance(members, str):
        kinds, n_held = _within(members, kinds)
        n_folds, has_race = max(n_folds, n_held), False
    n_folds = max(2, min(n_folds, n_rows))
    return Plan(kinds, n_folds, min(n_held, n_folds), has_race)


def with_rare(plan: Plan, shares: NDArray[np.float64]) -> Plan:
    """Add a logistic regression of few inputs to a plan that has one of many, for a rare class.

    Parameters
    ----------
    plan : Plan
    shares : ndarray of shape (n_classes,)
        The share of each class in the rows.

    Returns
    -------
    Plan
    """
    # Of many classes, all are rare if none has much less than its share.
    limit = min(_SHARE_OF_RARE, 0.5 / len(shares))
    if LINEAR_KIND in plan.kinds and shares.min() < limit:
        return replace(plan, kinds=(*plan.kinds, OF_RARE))
    return plan


def _within(members: int, kinds: tuple[Kind, ...]) -> tuple[tuple[Kind, ...], int]:
    """Choose kinds, and the number of folds held out, for at most so many networks.

    Several kinds come before several folds. The linear model costs next to nothing beside them.
    """
    networks = tuple(kind for kind in kinds if kind.hidden)[:members]
    others = tuple(kind for kind in kinds if not kind.hidden) if members > 1 else ()
    return networks + others, max(1, members // len(networks))
