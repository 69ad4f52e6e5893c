"""Checks of single values of a model file: what may stand in a place.

A check is given a value and its place, and raises RefusedError for a value that may not stand
there. Functions that return a check are named after what it accepts.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..tabular.dates import DATE_FORMS
from ..tabular.numbers import is_form
from .archive import RefusedError
from .nodes import Record, called

Check = Callable[[Any, str], None]


def refuse(place: str, what: str) -> None:
    """Raise RefusedError: what stands in a place is not what it should be."""
    raise RefusedError(f"{called(place)} is no {what}")


def plain(value: Any, place: str) -> None:
    """Accept what JSON can say, tuples, and single numbers of NumPy."""
    if isinstance(value, dict):
        for key, item in value.items():
            plain(key, place)
            plain(item, place)
    elif isinstance(value, list | tuple):
        for item in value:
            plain(item, place)
    elif not (value is None or isinstance(value, str | bool | int | float | np.generic)):
        refuse(place, "plain value")


def parameter(value: Any, place: str) -> None:
    """Accept plain values, and vectors of numbers."""
    if not isinstance(value, np.ndarray):
        plain(value, place)
    elif value.dtype.kind not in "biuf" or value.ndim != 1:
        refuse(place, "vector of numbers")


def label(value: Any, place: str) -> None:
    """Accept what a column can be called: a plain value that can be a key of a dict."""
    if isinstance(value, tuple):
        for item in value:
            label(item, place)
    elif isinstance(value, dict | list | np.ndarray):
        refuse(place, "name of a column")
    else:
        plain(value, place)


def text(value: Any, place: str) -> None:
    """Accept text."""
    if not isinstance(value, str):
        refuse(place, "text")


def number_form(value: Any, place: str) -> None:
    """Accept a form of numbers that this version reads, or empty text."""
    if not isinstance(value, str) or not is_form(value):
        refuse(place, "form of numbers")


def date_form(value: Any, place: str) -> None:
    """Accept a way of writing dates that this version reads."""
    if not isinstance(value, str) or value not in DATE_FORMS:
        refuse(place, "form of dates")


def truth(value: Any, place: str) -> None:
    """Accept true and false."""
    if not isinstance(value, bool):
        refuse(place, "truth value")


def count(value: Any, place: str) -> None:
    """Accept whole numbers from 0 on."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        refuse(place, "count")


def number(value: Any, place: str) -> None:
    """Accept real numbers, also those that are not finite."""
    if isinstance(value, bool) or not isinstance(value, Real):
        refuse(place, "number")


def exactly(expected: Any) -> Check:
    """Accept one value, which may be not-a-number."""

    def check(value: Any, place: str) -> None:
        is_nan = isinstance(expected, float) and math.isnan(expected)
        same = math.isnan(value) if is_nan and isinstance(value, float) else value == expected
        if type(value) is not type(expected) or not same:
            raise RefusedError(f"{called(place)} is not {expected!r}")

    return check


def optional(check: Check) -> Check:
    """Accept None as well."""
    return lambda value, place: None if value is None else check(value, place)


def sequence_of(check: Check, *types: type) -> Check:
    """Accept a list, or a sequence of other types, of values that another check accepts."""

    def check_all(value: Any, place: str) -> None:
        if not isinstance(value, types or list):
            refuse(place, "list")
        for i, item in enumerate(value):
            check(item, f"{place}[{i}]")

    return check_all


def dict_of(check: Check, *required: str) -> Check:
    """Accept a dict by text, with values that another check accepts."""

    def check_all(value: Any, place: str) -> None:
        if type(value) is not dict or not all(isinstance(key, str) for key in value):
            refuse(place, "dict")
        if missing := set(required) - value.keys():
            raise RefusedError(f"{called(place)} has no {missing.pop()!r}")
        for key, item in value.items():
            check(item, f"{place}[{key!r}]")

    return check_all


def array_of(kinds: str, n_dimensions: int = 1) -> Check:
    """Accept an array of some kinds of types, as ``dtype.kind`` has them; O is text."""

    def check(value: Any, place: str) -> None:
        is_array = type(value) is np.ndarray
        if not is_array or value.dtype.kind not in kinds or value.ndim != n_dimensions:
            refuse(place, f"array with {n_dimensions} dimension{'s' * (n_dimensions > 1)}")

    return check


def instance_of(*classes: Any) -> Check:
    """Accept an object of some classes."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, Record) or value.cls not in classes:
            refuse(place, " or ".join(sorted(cls.__name__ for cls in classes)))

    return check


def random_state(value: Any, place: str) -> None:
    """Accept a generator of random numbers."""
    if not isinstance(value, np.random.RandomState):
        refuse(place, "RandomState")


def of_type(expected: Any) -> Check:
    """Accept a type of arrays."""

    def check(value: Any, place: str) -> None:
        if value is not expected and not (isinstance(value, np.dtype) and value == expected):
            raise RefusedError(f"{called(place)} is not {expected}")

    return check


def either(first: Check, second: Check) -> Check:
    """Accept what one of two checks accepts."""

    def check(value: Any, place: str) -> None:
        try:
            first(value, place)
        except RefusedError:
            second(value, place)

    return check
