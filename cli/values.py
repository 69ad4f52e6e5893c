"""Reading what options take: lists of numbers and of names, and parameters of a model."""

import ast
import json
import warnings
from typing import Any

import click

from .errors import flag_of

# The most units of a layer: what compiled code counts them in.
_MOST_UNITS = 2**31 - 1


def integers(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """Read the value of ``--hidden``, a list of positive integers that may be empty."""
    if text is None:
        return None
    try:
        values = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        values = (0,)
    if any(value < 1 for value in values):
        raise click.BadParameter(
            f"{_shortened(text)} is not a list of positive integers such as 100,50"
        )
    if any(value > _MOST_UNITS for value in values):
        raise click.BadParameter(f"{_shortened(text)} has a layer that is too large")
    return values


def levels(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> float | tuple[float, ...] | None:
    """Read the value of ``--quantiles``, one level or several."""
    if text is None:
        return None
    try:
        found = tuple(sorted({float(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        found = ()
    if not found or not all(0 < level < 1 for level in found):
        raise click.BadParameter(
            f"{_shortened(text)} is not a list of numbers between 0 and 1 such as 0.1,0.5,0.9"
        )
    return found if len(found) > 1 else found[0]


def _shortened(text: str) -> str:
    """Quote what was typed, so that a very long text leaves room for what is wrong with it."""
    return repr(text if len(text) <= 100 else text[:100] + "...")


def names(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> str | tuple[str, ...] | None:
    """Read the value of ``--activation``, one name or several."""
    if text is None:
        return None
    found = tuple(part.strip() for part in text.split(","))
    return found[0] if len(found) == 1 else found


def value_of(text: str) -> Any:
    """Read a value as JSON, as Python writes it, or else as text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of Python on what it reads as its own text
        for read in (json.loads, ast.literal_eval):
            try:
                return read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue  # the last two come of brackets or signs by the thousand
    return text


def further_parameters(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> dict[str, Any]:
    """Read the values of ``--set``, pairs NAME=VALUE.

    A parameter that has a flag of its own is refused here, so that none can be given twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{_shortened(text)} is not NAME=VALUE, such as dropout=0.2")
        name = name.strip()
        if name in found:
            raise click.BadParameter(f"{name!r} is set twice")
        if name in ("frame", "callback", "checkpoint"):
            raise click.BadParameter(f"{name!r} is no parameter of a model")
        if (flag := flag_of(name, context.command)) is not None:
            raise click.BadParameter(f"{name!r} is set by {flag}")
        found[name] = value_of(value)
        if name == "learning_rate" and isinstance(found[name], int | float):
            flag = flag_of("learning_rate_init", context.command)
            raise click.BadParameter(f"'learning_rate' is a schedule; the rate is set by {flag}")
    return found
