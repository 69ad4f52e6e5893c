"""What a user has chosen on the page, checked, and the estimator that it stands for."""

from dataclasses import dataclass, field
from typing import Any

from ..estimators.classifier import MLPClassifier
from ..estimators.parameters import SOLVERS
from ..estimators.regressor import MLPRegressor
from ..exceptions import InputError
from ..network.plan import Activation
from ..network.weights import INITIALISERS
from ..schedules import SCHEDULES
from .data import FEATURES, KINDS, MOST_POINTS, Points

MOST_LAYERS = 6
MOST_UNITS = 16
MOST_EPOCHS = 20_000
MOST_PAINTED = 500
TABLE_BYTES = 2**20
ACTIVATIONS = sorted(kind.name.lower() for kind in Activation if kind.is_trainable)
LOSSES = {
    "classification": ["log_loss", "margin"],
    "regression": ["squared_error", "absolute_error", "huber"],
}
# Those that end training early by themselves are of no use on a page where its user does.
SCHEDULE_NAMES = [name for name in SCHEDULES if name != "adaptive"]
_MOST_SEED = 2**31 - 1

# Name of a number: its type, the least and the largest value, and the default.
NUMBERS: dict[str, tuple[type, float, float, float]] = {
    "n_points": (int, 20, MOST_POINTS, 200),
    "noise": (float, 0, 1, 0.1),
    "test_share": (float, 0, 0.8, 0.3),
    "data_seed": (int, 0, _MOST_SEED, 0),
    "learning_rate_init": (float, 1e-6, 1000, 0.03),
    "batch_size": (int, 1, MOST_POINTS, 16),
    "alpha": (float, 0, 10, 0),
    "l1": (float, 0, 10, 0),
    "dropout": (float, 0, 0.9, 0),
    "seed": (int, 0, _MOST_SEED, 0),
    "max_iter": (int, 1, MOST_EPOCHS, 5000),
}
_CHOICES = {
    "kind": ("circle", [*KINDS, "painted", "table"]),
    "solver": ("adam", sorted(SOLVERS)),
    "schedule": ("constant", SCHEDULE_NAMES),
    "init": ("sklearn", sorted(INITIALISERS)),
    "loss": ("", ["", *LOSSES["classification"], *LOSSES["regression"]]),
}


@dataclass(frozen=True)
class Settings:
    """All that decides what a network learns.

    Attributes
    ----------
    numbers : dict of str to number
        With the keys of :data:`NUMBERS`.
    choices : dict of str to str
        The keys are 'kind', 'solver', 'schedule', 'init' and 'loss'.
    features : list of str
        The inputs of the network.
    hidden : list of int
        Units of each hidden layer.
    activation : list of str
        The activation of each hidden layer.
    painted : list of list of float
        Points (x1, x2, y) that the user has painted.
    table : str
        The text of a CSV file.
    target : str
        The column of the table that is predicted.
    axes : list of str
        Two columns of the table, or none for its principal components.
    """

    numbers: dict[str, Any]
    choices: dict[str, str]
    features: list[str]
    hidden: list[int]
    activation: list[str]
    painted: list[list[float]] = field(default_factory=list)
    table: str = ""
    target: str = ""
    axes: list[str] = field(default_factory=list)


def read_settings(given: Any) -> Settings:
    """Check what a page has sent; what is missing gets its default.

    Parameters
    ----------
    given : object
        What was read from JSON.

    Returns
    -------
    Settings

    Raises
    ------
    InputError
        When a value is of another type, or out of its bounds.
    """
    if not isinstance(given, dict):
        raise InputError("settings must be an object")
    known = {*NUMBERS, *_CHOICES, *Settings.__dataclass_fields__} - {"numbers", "choices"}
    for name in given:
        if name not in known:
            raise InputError(f"there is no setting {name[:80]!r}")
    hidden = _list(given, "hidden", [4, 2], MOST_LAYERS)
    for size in hidden:
        _check_number("hidden", size, int, 1, MOST_UNITS)
    activation = given.get("activation", "tanh")
    if isinstance(activation, str):
        activation = [activation] * len(hidden)
    for name in _list({"activation": activation}, "activation", [], MOST_LAYERS):
        _check_choice("activation", name, ACTIVATIONS)
    if len(activation) != len(hidden):
        raise InputError(f"activation has {len(activation)} entries for {len(hidden)} layers")
    features = _list(given, "features", ["x1", "x2"], len(FEATURES))
    for name in features:
        _check_choice("features", name, list(FEATURES))
    if not features or len(set(features)) < len(features):
        raise InputError("features must be at least one, each of them once")
    numbers = {}
    for key, (kind, least, most, default) in NUMBERS.items():
        numbers[key] = kind(_check_number(key, given.get(key, default), kind, least, most))
    choices = {
        key: _check_choice(key, given.get(key, default), allowed)
        for key, (default, allowed) in _CHOICES.items()
    }
    return Settings(
        numbers, choices, features, hidden, activation, _painted(given),
        _text(given, "table", TABLE_BYTES), _text(given, "target", 1000),
        [_text({"axes": axis}, "axes", 1000) for axis in _list(given, "axes", [], 2)],
    )  # fmt: skip


def _list(given: dict[str, Any], key: str, default: list[Any], most: int) -> list[Any]:
    found = given.get(key, default)
    if not isinstance(found, list) or len(found) > most:
        raise InputError(f"{key} must be a list of at most {most} entries")
    return found


def _text(given: dict[str, Any], key: str, most: int) -> str:
    found = given.get(key, "")
    if not isinstance(found, str) or len(found) > most:
        raise InputError(f"{key} must be text of at most {most} characters")
    return found


def _check_number(key: str, value: Any, kind: type, least: float, most: float) -> Any:
    is_number = isinstance(value, int if kind is int else int | float)
    if not is_number or isinstance(value, bool) or not least <= value <= most:
        what = "an integer" if kind is int else "a number"
        bounds = f"from {least} to {most}" if kind is int else f"from {least:g} to {most:g}"
        raise InputError(f"{key} must be {what} {bounds}, got {str(value)[:40]}")
    return value


def _check_choice(key: str, value: Any, allowed: list[str]) -> str:
    if value not in allowed:
        raise InputError(f"{key} must be one of {', '.join(filter(None, allowed))}")
    return str(value)


def _painted(given: dict[str, Any]) -> list[list[float]]:
    found = _list(given, "painted", [], MOST_PAINTED)
    for point in found:
        is_point = isinstance(point, list) and len(point) == 3
        if not is_point or not all(isinstance(x, int | float) and abs(x) <= 100 for x in point):
            raise InputError("painted must be points of three numbers from -100 to 100")
    return found


def used_features(settings: Settings, points: Points) -> list[str]:
    """Return the inputs of the network; on a line those that depend on x1 alone."""
    if not points.is_line:
        return settings.features
    return [name for name in settings.features if "x2" not in name] or ["x1"]


def parameters_of(settings: Settings, is_regression: bool, n_trained: int) -> dict[str, Any]:
    """Return the parameters of the estimator that differ from its defaults, as they are written.

    Parameters
    ----------
    settings : Settings
    is_regression : bool
    n_trained : int
        Number of rows that are trained on; batches have no more.

    Returns
    -------
    dict of str to object
        Training goes on for `max_iter` epochs, since nobody else than the user ends it.
    """
    numbers, choices = settings.numbers, settings.choices
    activation: Any = tuple(settings.activation)
    if len(set(activation)) == 1:
        activation = activation[0]
    found: dict[str, Any] = {
        "hidden_layer_sizes": tuple(settings.hidden),
        "activation": activation or "relu",
        "solver": choices["solver"],
        "loss": loss_of(settings, is_regression),
        "alpha": numbers["alpha"],
        "init": choices["init"],
        "random_state": numbers["seed"],
        "max_iter": numbers["max_iter"],
        "tol": 0.0,
        "n_iter_no_change": MOST_EPOCHS,
    }
    if choices["solver"] == "lbfgs":
        del found["n_iter_no_change"]
    else:
        found["learning_rate_init"] = numbers["learning_rate_init"]
        found["l1"] = numbers["l1"]
        found["dropout"] = numbers["dropout"] if settings.hidden else 0.0
        if choices["schedule"] != "constant":
            found["lr_schedule"] = choices["schedule"]
        if choices["solver"] != "gd":
            found["batch_size"] = min(numbers["batch_size"], n_trained)
    return found


def loss_of(settings: Settings, is_regression: bool) -> str:
    """Return the name of the loss: the chosen one, where it is one for such targets."""
    allowed = LOSSES["regression" if is_regression else "classification"]
    chosen = settings.choices["loss"]
    return chosen if chosen in allowed else allowed[0]


def make_model(settings: Settings, is_regression: bool, n_trained: int) -> Any:
    """Make the estimator that the settings stand for."""
    cls = MLPRegressor if is_regression else MLPClassifier
    parameters = parameters_of(settings, is_regression, n_trained)
    return cls(**parameters, n_jobs=1, diagnose=False)
