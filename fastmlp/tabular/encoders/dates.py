"""Parts of dates and of times of the day: how late it is, and where in the year, week and day."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DAY = 86400.0
_YEAR_DAYS = 365.25
_THURSDAY = 3  # the weekday of 1 January 1970, where Monday is 0
# The parts of dates, and those of times of the day.
DATE_PARTS = (
    "seconds", "year", "month", "day", "weekday", "hour",
    "year_sin", "year_cos", "week_sin", "week_cos", "day_sin", "day_cos",
)  # fmt: skip
TIME_PARTS = ("hour", "day_sin", "day_cos")


def parts_of(seconds: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    """Compute parts of points in time.

    Parameters
    ----------
    seconds : ndarray of shape (n_rows,), float64
        Seconds since 1970, as clocks show them at the place; not-a-number is missing.
    names : sequence of str
        Some of ``DATE_PARTS``.

    Returns
    -------
    ndarray of shape (n_rows, n_names), float64
        Months and days count from 1, weekdays from Monday, which is 0. Parts in a circle are sines
        and cosines, so that the end of a year, week or day is close to the beginning.
    """
    is_missing = np.isnan(seconds)
    known = np.where(is_missing, 0.0, seconds)
    days = np.floor(known / _DAY)
    date = days.astype("M8[D]")
    year, month = date.astype("M8[Y]"), date.astype("M8[M]")
    weekday, share = (days + _THURSDAY) % 7, known / _DAY - days
    of_year = (date - year).astype(np.float64) / _YEAR_DAYS
    made: dict[str, Callable[[], NDArray[Any]]] = {
        "seconds": lambda: known,
        "year": lambda: year.astype(np.float64) + 1970,
        "month": lambda: month.astype(np.int64) % 12 + 1.0,
        "day": lambda: (date - month).astype(np.float64) + 1,
        "weekday": lambda: weekday,
        "hour": lambda: share * 24,
        "year_sin": lambda: np.sin(2 * np.pi * of_year),
        "year_cos": lambda: np.cos(2 * np.pi * of_year),
        "week_sin": lambda: np.sin(2 * np.pi * weekday / 7),
        "week_cos": lambda: np.cos(2 * np.pi * weekday / 7),
        "day_sin": lambda: np.sin(2 * np.pi * share),
        "day_cos": lambda: np.cos(2 * np.pi * share),
    }
    result = np.empty((len(seconds), len(names)))
    for i, name in enumerate(names):
        result[:, i] = made[name]()
    result[is_missing] = np.nan
    return result


def varying_parts(seconds: NDArray[np.float64], is_time: bool) -> list[str]:
    """List the parts that differ among points in time; only those are of use."""
    names = TIME_PARTS if is_time else DATE_PARTS
    present = parts_of(seconds[~np.isnan(seconds)], names)
    return [name for i, name in enumerate(names) if len(present) and np.ptp(present[:, i]) > 1e-9]


def is_circular(part: str) -> bool:
    """Tell whether a part is a place in a circle."""
    return part.endswith(("_sin", "_cos"))
