"""Which parameters are searched, and over which values: how people write it, and what it means."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from sklearn.base import clone

from ..estimators.parameters import invalid_parameter
from ..exceptions import InputError, did_you_mean
from .models import final_of

# Parameters that say how a network is computed or watched, and not what it learns.
_NOT_SEARCHED = {
    "device", "diagnose", "monitor", "n_jobs", "random_state", "scoring", "time_limit", "verbose",
    "warm_start",
}  # fmt: skip
_WORDS = {"none": None, "true": True, "false": False}
_FORM = "A..B, A..B:log or A/B/C, such as 1e-4..3e-2:log or 64/128,64"


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`, both included.

    Parameters
    ----------
    low, high : int or float
        Only integers are drawn where both are.
    log : bool, default=False
        Whether the logarithm is drawn evenly, for numbers that differ by factors.
    """

    low: float
    high: float
    log: bool = False

    @property
    def is_integer(self) -> bool:
        """Whether only integers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that show whether a parameter may have all of these values."""
        return self.low, self.high

    def suggest(self, trial: Any, name: str) -> Any:
        """Draw a value for a trial of Optuna."""
        if self.is_integer:
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def value(self, stored: Any) -> Any:
        """Return the value of the parameter for what a study has stored."""
        return stored

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}{':log' * self.log}"


@dataclass(frozen=True)
class Choice:
    """A few values of any type.

    Parameters
    ----------
    values : tuple
        A study stores each as the text by which people write it.
    """

    values: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that show whether a parameter may have all of these values."""
        return self.values

    def suggest(self, trial: Any, name: str) -> Any:
        """Draw a value for a trial of Optuna."""
        return self.value(trial.suggest_categorical(name, [shown(v) for v in self.values]))

    def value(self, stored: Any) -> Any:
        """Return the value of the parameter for what a study has stored."""
        return next(value for value in self.values if shown(value) == stored)

    def __str__(self) -> str:
        return "/".join(map(shown, self.values))


Space: TypeAlias = dict[str, Range | Choice]


def shown(value: Any) -> str:
    """Write the value of a parameter as people do on the command line.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
        For example '128,64', 'none' or '0.001'.
    """
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ",".join(map(shown, value))
    return str(value)


def read_space(space: Mapping[str, Any], estimator: Any) -> Space:
    """Read a space that a user has written, and check it against the estimator.

    Parameters
    ----------
    space : dict of str to object
        For each parameter a text as on the command line, a list of choices, a dict with 'low',
        'high' and, if wanted, 'log', or a dict with 'choices'.
    estimator : estimator
        Its parameters are the names; those of a pipeline begin with the name of the step.

    Returns
    -------
    dict of str to Range or Choice

    Raises
    ------
    InputError
        When there is no such parameter, or when it may not have one of the values.
    """
    if not space:
        raise InputError("the space is empty; name a parameter and its values")
    found = {}
    for name, given in space.items():
        _check_name(name, estimator)
        found[name] = _dimension(name, given)
        _check_values(name, found[name], estimator)
    _check_effort(found, estimator)
    return found


def space_of_texts(texts: Sequence[str]) -> dict[str, str]:
    """Split texts such as ``alpha=1e-6..1e-2:log`` into names and what is searched.

    Parameters
    ----------
    texts : sequence of str

    Returns
    -------
    dict of str to str

    Raises
    ------
    InputError
        When a text has no name, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        name = name.strip()
        if not equals or not name:
            raise InputError(f"{text!r} is not NAME=VALUES; VALUES are {_FORM}")
        if name in found:
            raise InputError(f"{name!r} is searched twice; give all its values at once")
        found[name] = values
    return found


def space_of_file(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a space from a TOML file, which has a line for each parameter.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    dict of str to object
        As for :func:`read_space`.

    Raises
    ------
    InputError
        When it is no TOML file.
    OSError
        When it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            found = tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this is no TOML file: {error}") from None
    if not found:
        raise InputError(f'{path}: has no parameter; write lines such as alpha = "1e-6..1e-2:log"')
    for name, value in found.items():
        if isinstance(value, Mapping) and not set(value) & {"low", "high", "choices"}:
            raise InputError(
                f"{Path(path)}: [{name}] is a section; write parameters without sections"
            )
    return found


def _dimension(name: str, given: Any) -> Range | Choice:
    """Read what is searched of one parameter."""
    if isinstance(given, Range | Choice):
        return given
    if isinstance(given, str):
        return _of_text(name, given)
    if isinstance(given, Mapping) and set(given) == {"choices"}:
        given = given["choices"]
    if isinstance(given, Mapping):
        unknown = sorted(set(given) - {"low", "high", "log"})
        if unknown or "low" not in given or "high" not in given:
            what = f"has no {unknown[0]!r}" if unknown else "needs 'low' and 'high'"
            raise InputError(f"the range of {name!r} {what}; it has low, high and log")
        ends = given["low"], given["high"]
        if any(isinstance(end, bool) or not isinstance(end, int | float) for end in ends):
            raise InputError(f"the range of {name!r} must go from a number to a number, got {ends}")
        return _range(name, *ends, bool(given.get("log", False)))
    if isinstance(given, Sequence) and not isinstance(given, bytes):
        return _choice(name, [tuple(v) if isinstance(v, list) else v for v in given])
    raise InputError(f"{name!r} has no values to search in {given!r}; give {_FORM}")


def _of_text(name: str, text: str) -> Range | Choice:
    if ".." not in text:
        parts = [part.strip() for part in text.split("/")]
        if not all(parts):
            raise InputError(f"{name!r} has an empty choice in {text!r}; give {_FORM}")
        return _choice(name, [_value(part) for part in parts])
    body, colon, scale = text.partition(":")
    if colon and scale.strip() != "log":
        raise InputError(f"the range {text!r} of {name!r} has the scale {scale!r}; it can be log")
    low, _, high = body.partition("..")
    try:
        ends = _number(low), _number(high)
    except ValueError:
        raise InputError(
            f"the range {text!r} of {name!r} must go from a number to a number: {_FORM}"
        ) from None
    return _range(name, *ends, bool(colon))


def _number(text: str) -> float:
    """Read an integer, or else another number."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _range(name: str, low: float, high: float, log: bool) -> Range:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"the range of {name!r} must have finite ends, got {low} and {high}")
    if isinstance(low, float) != isinstance(high, float):
        low, high = float(low), float(high)
    if not low < high:
        raise InputError(
            f"the range of {name!r} is empty: {low:g} is not less than {high:g}; one value alone "
            "is a parameter and no search"
        )
    if log and low <= 0:
        raise InputError(
            f"the range of {name!r} begins at {low:g}, which has no logarithm; begin above 0, or "
            "leave out the log"
        )
    return Range(low, high, log)


def _choice(name: str, values: Sequence[Any]) -> Choice:
    texts = [shown(value) for value in values]
    if len(set(texts)) < len(texts):
        raise InputError(f"{name!r} has a choice twice: {'/'.join(texts)}")
    if len(values) < 2:
        raise InputError(
            f"{name!r} has no two values to choose from: {'/'.join(texts) or 'none'}; give {_FORM}"
        )
    return Choice(tuple(values))


def _value(text: str) -> Any:
    """Read one choice: a number, a word such as none, a list of numbers, or else text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if "," in text:
        return tuple(_value(part.strip()) for part in text.split(",") if part.strip())
    try:
        return _number(text)
    except ValueError:
        return text


def _check_name(name: str, estimator: Any) -> None:
    step, final = final_of(estimator)
    known = set(estimator.get_params())
    own = name.removeprefix(step)
    if name in known and own not in _NOT_SEARCHED:
        return
    if name in known:
        raise InputError(f"{name!r} is not searched, since it does not say what is learned")
    searchable = sorted(known - {step + other for other in _NOT_SEARCHED})
    whole = step + name  # in a pipeline names begin with that of the step
    meant = did_you_mean(
        whole if whole in known else name,
        [whole] if whole in known else searchable,
        "its parameters are in the documentation",
    )
    where = type(final).__name__ if not step else "the pipeline"
    raise InputError(f"there is no parameter {name!r} of {where}; {meant}")


def _check_values(name: str, dimension: Range | Choice, estimator: Any) -> None:
    """Refuse values that the estimator does not take."""
    step, final = final_of(estimator)
    if not name.startswith(step) or "__" in name.removeprefix(step):
        return  # another step checks its own
    own = name.removeprefix(step)
    if own == "learning_rate" and isinstance(dimension.ends[0], int | float):
        raise InputError(f"{name!r} is a schedule; the rate is called '{step}learning_rate_init'")
    for value in dimension.ends:
        one = clone(final).set_params(**{own: value})
        if (message := invalid_parameter(one)) is not None:
            must = message.partition(" must ")[2]
            raise InputError(f"{name!r} cannot be searched over {dimension}: it must {must}")


def _check_effort(space: Space, estimator: Any) -> None:
    """Refuse to search over the effort of a pack together with what makes it a single network."""
    step, _ = final_of(estimator)
    others = [name for name in space if name not in (step + "effort", step + "members")]
    if step + "effort" in space and others:
        raise InputError(
            f"{step + 'effort'!r} is about packs, and {others[0]!r} about a single network; search "
            "one of them"
        )
