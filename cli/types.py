"""Types of arguments and options that several commands share."""

import math
import os
import re
from pathlib import Path
from typing import Any

import click


class FilePath(click.Path):
    """A path that can be the name of a file.

    Parameters
    ----------
    allow_dash : bool, default=False
        Whether ``-`` stands for standard output, for which the value is None.
    """

    def __init__(self, allow_dash: bool = False) -> None:
        super().__init__(path_type=Path, allow_dash=allow_dash)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or show what is wrong with it as a mistake in the command."""
        if str(value) == "-":
            if self.allow_dash:
                return None
            self.fail("'-' is no file here; only tables come from standard input", param, ctx)
        if str(value).endswith(("/", os.sep)):
            self.fail(f"{value!r} is the name of a folder; give that of a file", param, ctx)
        _check_name(self, value, param, ctx)
        return super().convert(value, param, ctx)


class DataPath(click.Path):
    """What a table is read from, as it was typed: a path, or ``-`` for standard input.

    An address such as https://... loses a slash when it is made a path.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text, or show what is wrong with it as a mistake in the command."""
        _check_name(self, value, param, ctx)
        return os.fsdecode(value)


def _check_name(
    kind: click.Path, value: Any, param: click.Parameter | None, ctx: click.Context | None
) -> None:
    """Refuse what no file can be called."""
    if not str(value):
        kind.fail("the name of the file is empty", param, ctx)
    if "\0" in str(value):
        kind.fail(f"{value!r} cannot be the name of a file", param, ctx)


class FiniteRange(click.FloatRange):
    """A number within bounds, which "nan" and "inf" are not."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or show what is wrong with it as a mistake in the command."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Duration(click.ParamType[float]):
    """A time such as 10m, 90s or 1h30m, in seconds; a number alone is seconds."""

    name = "duration"
    _SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}  # noqa: RUF012

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the seconds, or show what is wrong with it as a mistake in the command."""
        if isinstance(value, float):
            return value
        text = str(value).strip().lower()
        number = r"(\d+(?:\.\d+)?)"
        match = re.fullmatch(rf"(?:{number}h)?(?:{number}m)?(?:{number}s?)?", text)
        if not text or match is None:
            self.fail(f"{value!r} is not a time such as 10m, 90s or 1h30m", param, ctx)
        parts = zip(match.groups(), self._SECONDS.values(), strict=True)
        seconds = sum(float(count) * unit for count, unit in parts if count)
        if not 0 < seconds < math.inf:
            self.fail(f"{value!r} leaves no time", param, ctx)
        return seconds
