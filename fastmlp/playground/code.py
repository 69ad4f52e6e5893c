"""The program and the command that train the network on the page."""

from shlex import quote
from typing import Any

from ..schedules import SCHEDULES
from .data import Points
from .settings import Settings, make_model, parameters_of

# Options of the command for parameters; the others go by --set.
_FLAGS = {
    "hidden_layer_sizes": "--hidden", "activation": "--activation", "max_iter": "--epochs",
    "batch_size": "--batch-size", "learning_rate_init": "--learning-rate", "alpha": "--alpha",
    "random_state": "--seed",
}  # fmt: skip


def python_code(
    settings: Settings, points: Points, features: list[str], epoch: int, has_diverged: bool = False
) -> str:
    """Write the program that trains the network of the page up to an epoch.

    Running it gives the same weights, bit by bit.

    Parameters
    ----------
    settings : Settings
    points : Points
    features : list of str
        The inputs of the network.
    epoch : int
    has_diverged : bool, default=False
        Whether training ends with an error in this epoch; the weights are the last finite ones.

    Returns
    -------
    str
    """
    numbers, name = settings.numbers, "MLPClassifier" if points.classes else "MLPRegressor"
    parameters, stops = _parameters(settings, points, epoch)
    share, seed = numbers["test_share"], numbers["data_seed"]
    function = "table_points" if settings.choices["kind"] == "table" else "made_points"
    lines = [
        f"from fastmlp import {'DivergenceError, ' if has_diverged else ''}{name}",
        f"from fastmlp.playground.data import {function}, split",
        "",
        *_points_code(settings),
        f"X_train, X_test, y_train, y_test = split(points, {_list(features)}, {share!r}, {seed})",
        f"model = {name}(",
        *(f"    {key}={value!r}," for key, value in parameters.items()),
        ")",
    ]
    fit = ["model.fit(", "    X_train,", "    y_train,"]
    if round(len(points.y) * share):
        fit.append("    eval_set=(X_test, y_test),")
    if stops:
        fit.append(f"    callback=lambda epoch: epoch.epoch == {max(1, epoch)},")
    fit.append(")")
    if has_diverged:
        fit = [f"    {line}" for line in fit]
        fit = ["try:", *fit, "except DivergenceError as error:", "    print(error)"]
    return "\n".join([*lines, *fit, "print(model.score(X_train, y_train))", ""])


def shell_code(settings: Settings, points: Points, epoch: int) -> str:
    """Write the command that trains such a network on the points as a table.

    ``fastmlp fit`` scales the columns and holds out rows of its own, so that its numbers are not
    quite those of the page.
    """
    parameters, _ = _parameters(settings, points, epoch)
    words = ["fastmlp", "fit", "points.csv", "--target", "y"]
    words += ["--task", "classification" if points.classes else "regression"]
    for key, value in parameters.items():
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words += [_FLAGS[key], quote(text)] if key in _FLAGS else ["--set", f"{key}={text}"]
    lines = [" ".join(words[:3])]
    for word in words[3:]:
        if word.startswith("--"):
            lines.append(f"  {word}")
        else:
            lines[-1] += f" {word}"
    return " \\\n".join(lines) + "\n"


def _parameters(settings: Settings, points: Points, epoch: int) -> tuple[dict[str, Any], bool]:
    """Return the parameters that are not defaults, and whether a callback has to end training."""
    n_points = len(points.y)
    n_test = min(round(n_points * settings.numbers["test_share"]), n_points - 2)
    given = parameters_of(settings, not points.classes, n_points - n_test)
    defaults = type(make_model(settings, not points.classes, n_points))().get_params()
    schedule = given.get("lr_schedule")
    stops = schedule is not None and SCHEDULES[schedule]().has_horizon
    if not stops:
        given["max_iter"] = max(1, epoch)
    kept = ("hidden_layer_sizes", "activation", "solver", "max_iter", "learning_rate_init")
    return {k: v for k, v in given.items() if k in kept or v != defaults[k]}, stops


def _points_code(settings: Settings) -> list[str]:
    numbers, kind = settings.numbers, settings.choices["kind"]
    if kind == "table":
        axes = f", {_list(settings.axes)}" if settings.axes else ""
        return [
            f'points = table_points("data.csv", {settings.target!r}{axes}, '
            f"seed={numbers['data_seed']})"
        ]
    made = f"points = made_points({kind!r}, {numbers['n_points']}, {numbers['noise']!r}, "
    if not settings.painted:
        return [f"{made}seed={numbers['data_seed']})"]
    painted = [f"    {tuple(point)!r}," for point in settings.painted]
    return [
        "painted = [", *painted, "]", f"{made}seed={numbers['data_seed']}, painted=painted)"
    ]  # fmt: skip


def _list(names: list[str]) -> str:
    return "[" + ", ".join(map(repr, names)) + "]"
