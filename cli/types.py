"""Types of arguments and options that several commands share."""

import math
import os
from pathlib import Path
from typing import Any

import click


class FilePath(click.Path):
    """A path that can be the name of a file."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or show what is wrong with it as a mistake in the command."""
        if not str(value):
            self.fail("the name of the file is empty", param, ctx)
        if str(value).endswith(("/", os.sep)):
            self.fail(f"{value!r} is the name of a folder; give that of a file", param, ctx)
        if "\0" in str(value):
            self.fail(f"{value!r} cannot be the name of a file", param, ctx)
        return super().convert(value, param, ctx)


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
