"""Dates and times that are written as text."""

import datetime
import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .cells import cells_of, texts_of

# The months in English, German, French, Spanish, Italian and Dutch, and their usual abbreviations.
_MONTH = (
    r"(?:jan(?:uary|uar|uari|vier|v)?|ene(?:ro)?|gen(?:naio)?|feb(?:ruary|ruar|ruari|rero|braio)?|"
    r"févr?(?:ier)?|mar(?:ch|s|zo)?|mär(?:z)?|mrz|mrt|maart|apr(?:il|ile)?|avr(?:il)?|abr(?:il)?|"
    r"may(?:o)?|mai|mei|mag(?:gio)?|june?|juni?o?|juin|giu(?:gno)?|july?|julio?|juil(?:let)?|"
    r"lug(?:lio)?|aug(?:ust|ustus)?|août|ago(?:sto)?|sept?(?:ember|embre|iembre)?|set(?:tembre)?|"
    r"oct(?:ober|obre|ubre)?|okt(?:ober)?|ott(?:obre)?|nov(?:ember|embre|iembre)?|"
    r"de[cz](?:ember|embre)?|déc(?:embre)?|dic(?:iembre|embre)?)\.?"
)
_WEEKDAY = r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,? )?"
_CLOCK = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[ap]\.?m\.?)?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|CES?T|[+-]\d\d:?\d\d))?"
_DAY = r"\d{1,2}(?:st|nd|rd|th|er|\.|º)?"
_SEPARATED = r"[ /.,-]{1,2}"
_DATES = (
    r"\d{4}(?P<a>[-/.])\d{1,2}(?P=a)\d{1,2}",  # 2024-01-31
    r"\d{1,2}(?P<b>[-/.])\d{1,2}(?P=b)(?:\d{4}|\d\d)",  # 31/1/2024, 1/31/24
    rf"{_DAY}(?:{_SEPARATED}| de | of )?{_MONTH}(?:(?:{_SEPARATED}| de )?(?:\d{{4}}|'?\d\d))?",
    rf"{_MONTH}{_SEPARATED}{_DAY}(?:,? \d{{4}})?",  # Jan 31, 2024
    rf"\d{{4}}{_SEPARATED}{_MONTH}{_SEPARATED}\d{{1,2}}",  # 2024 Jan 31
    r"\d{4}年\d{1,2}月\d{1,2}日",
)
_OTHERS = (
    rf"{_MONTH}{_SEPARATED}(?:\d{{4}}|'?\d\d)",  # Jan 2024
    r"\d{4}[-/]\d{1,2}|\d{1,2}[-/]\d{4}",  # 2024-01
    r"\d{4}[ -]?Q[1-4]|Q[1-4][ /-]\d{4}",
    r"\d{4}-?W\d\d(?:-?\d)?",  # the weeks of ISO 8601
    r"\d{8}T\d{4,6}(?:\.\d+)?Z?",
)
_DATE = re.compile(
    rf"{_WEEKDAY}(?:{'|'.join(_DATES)})(?:(?:T|,? |,? at ){_CLOCK}{_ZONE})?|{'|'.join(_OTHERS)}",
    re.IGNORECASE,
)
_TIME = re.compile(rf"T?{_CLOCK}{_ZONE}|\d{{1,2}} ?[ap]\.?m\.?|\d{{1,2}} ?h ?\d\d", re.IGNORECASE)
# Words for a day that is not known, and the like, are few beside those that are.
_MOST_OTHERS = 0.05


def are_dates(texts: Sequence[str]) -> bool:
    """Tell whether texts are dates, such as ``2024-01-31``, ``1 Jan 24`` or ``2024-W05``.

    A few may be others, such as ``unknown``.
    """
    return _fits_most(_DATE, texts)


def are_times(texts: Sequence[str]) -> bool:
    """Tell whether texts are times of a day, such as ``13:45`` or ``1:45 pm``, but for a few."""
    return _fits_most(_TIME, texts)


def _fits_most(pattern: re.Pattern[str], texts: Sequence[str]) -> bool:
    most = _MOST_OTHERS * len(texts)
    others = 0
    for text in texts:
        if not pattern.fullmatch(text):
            others += 1
            if others > most:
                return False
    return True


# ---- reading -----------------------------------------------------------------------------

# The ways of writing dates and times that a column may be read by.
DAY_FIRST, MONTH_FIRST, TIME_OF_DAY = "day first", "month first", "time of day"
DATE_FORMS = ("", DAY_FIRST, MONTH_FIRST, TIME_OF_DAY)
_MONTH_NAMES = (
    "january januar januari janvier jänner enero gennaio",
    "february februar februari febrero febbraio février fevrier",
    "march mars marzo märz mrz mrt maart",
    "april aprile avril abril",
    "may mayo mai mei maggio",
    "june junio juni juin giugno",
    "july julio juli juillet luglio",
    "august augustus août agosto",
    "september septembre septiembre settembre",
    "october octobre octubre oktober ottobre",
    "november novembre noviembre",
    "december dezember décembre diciembre dicembre",
)
_NUMERIC = re.compile(r"(?<!\d)(\d{1,2})([-/.])(\d{1,2})\2(?:\d{4}|\d\d)(?!\d)")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)?", re.IGNORECASE)
_QUARTER = re.compile(r"(?:(\d{4})[ -]?)?Q([1-4])(?:[ /-](\d{4}))?", re.IGNORECASE)
_WEEK = re.compile(r"(\d{4})-?W(\d\d)(?:-?(\d))?", re.IGNORECASE)
_CLOCK_PARTS = re.compile(
    r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?: ?([ap])\.?m\b)?", re.IGNORECASE
)
_HOUR = re.compile(r"(\d{1,2}) ?(?:([ap])\.?m\.?|h ?(\d\d))", re.IGNORECASE)
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?")
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_FIRST_OF_CENTURY = 70  # 70 is 1970, and 69 is 2069


def date_form(texts: Sequence[str]) -> str:
    """Find out whether dates such as ``3/4/2024`` begin with the day or with the month.

    A number beyond 12 tells. If there is none, the one that differs less is the day, as in the
    first days of months; if they differ alike, a slash stands behind a month, and other marks
    behind a day.

    Parameters
    ----------
    texts : sequence of str
        The different dates of a column.

    Returns
    -------
    str
        ``DAY_FIRST`` or ``MONTH_FIRST``, or '' if no date is written in such a way.
    """
    found = [match for text in texts if (match := _NUMERIC.search(text))]
    if not found:
        return ""
    firsts, seconds = ([int(match[i]) for match in found] for i in (1, 3))
    beyond = (sum(n > 12 for n in numbers) for numbers in (firsts, seconds))
    days, months = beyond
    if days != months:
        return DAY_FIRST if days > months else MONTH_FIRST
    n_first, n_second = len(set(firsts)), len(set(seconds))
    if n_first != n_second:
        return DAY_FIRST if n_first < n_second else MONTH_FIRST
    return MONTH_FIRST if found[0][2] == "/" else DAY_FIRST


def seconds_of(text: str, form: str) -> float:
    """Read a date or a time of the day.

    Parameters
    ----------
    text : str
    form : str
        One of ``DATE_FORMS``. A date that cannot begin with the day may begin with the month, and
        the other way round.

    Returns
    -------
    float
        Seconds since 1970, or since midnight, as clocks show them at the place; not-a-number if it
        is no date or time.
    """
    if form == TIME_OF_DAY:
        return _clock(text) if _TIME.fullmatch(text) else float("nan")
    if not _DATE.fullmatch(text):
        return float("nan")
    clock = _CLOCK_PARTS.search(text)
    written = text if clock is None else text[: clock.start()]
    for order in dict.fromkeys((form, DAY_FIRST, MONTH_FIRST)):
        try:
            day = _day(written, order)
        except ValueError:
            continue
        seconds = 0.0 if clock is None else _clock(clock[0])
        if compact := _COMPACT.match(text):
            hour, minute, second = (int(compact[i] or 0) for i in (4, 5, 6))
            seconds = 3600.0 * hour + 60 * minute + second
        return 86400.0 * (day.toordinal() - _EPOCH) + seconds
    return float("nan")


def read_dates(column: pd.Series, form: str, called: str) -> NDArray[np.float64]:
    """Read a column of dates or times of the day.

    Parameters
    ----------
    column : pandas.Series
        Of dates, or of any type whose values read as dates.
    form : str
        How dates are written as text, as from :func:`date_form`.
    called : str
        The words by which messages refer to the column.

    Returns
    -------
    ndarray of shape (n_rows,), float64
        Seconds, as from :func:`seconds_of`; not-a-number for missing values and other text.
    """
    if pd.api.types.is_datetime64_any_dtype(column.dtype) and form != TIME_OF_DAY:
        local = column.dt.tz_localize(None) if column.dt.tz is not None else column
        points = local.to_numpy(dtype="M8[us]")
        return np.where(np.isnat(points), np.nan, points.astype(np.int64) / 1e6)
    cells = cells_of(column, called)
    texts = texts_of(cells)
    return cells.spread(seconds_of_all(texts, form), np.nan, np.float64)


def seconds_of_all(texts: list[str], form: str) -> list[float]:
    """Read dates as :func:`seconds_of` does, quickly if all are written as in ISO 8601."""
    if form != TIME_OF_DAY and all(_ISO.fullmatch(text) for text in texts):
        try:
            found: list[float] = np.array(texts, dtype="M8[s]").astype(np.float64).tolist()
            return found
        except ValueError:  # a day that no month has
            pass
    return [seconds_of(text, form) for text in texts]


def _clock(text: str) -> float:
    """Return the seconds since midnight of a time of the day."""
    if match := _CLOCK_PARTS.search(text):
        hour, minute, second = (int(match[i] or 0) for i in (1, 2, 3))
        rest, half = float(f"0.{match[4] or 0}"), match[5]
    elif match := _HOUR.search(text):
        hour, minute, second, rest, half = int(match[1]), int(match[3] or 0), 0, 0.0, match[2]
    else:
        return float("nan")
    if half:
        hour = hour % 12 + 12 * (half in "pP")
    return 3600.0 * hour + 60 * minute + second + rest


def _day(text: str, order: str) -> datetime.date:
    """Return the day that a text without a time names; ValueError if there is no such day."""
    if match := _COMPACT.match(text):
        return datetime.date(int(match[1]), int(match[2]), int(match[3]))
    if match := _QUARTER.fullmatch(text.strip()):
        return datetime.date(int(match[1] or match[3]), 3 * int(match[2]) - 2, 1)
    if match := _WEEK.fullmatch(text.strip()):
        return datetime.date.fromisocalendar(int(match[1]), int(match[2]), int(match[3] or 1))
    month = next((found for word in re.findall(r"[^\W\d_]+", text) if (found := _month(word))), 0)
    numbers = re.findall(r"\d+", text)
    if month and len(numbers) == 1:
        (number,) = numbers
        is_year = len(number) == 4 or text.rstrip()[-len(number) - 1] in "-'"
        return datetime.date(_year(number), month, 1) if is_year else _without_year(month, number)
    if month:
        day, year = numbers if len(numbers[0]) < 4 else numbers[::-1]
        return datetime.date(_year(year), month, int(day))
    if len(numbers) == 2:
        number, year = numbers if len(numbers[0]) < 4 else numbers[::-1]
        return datetime.date(_year(year), int(number), 1)
    first, second, third = numbers
    if len(first) == 4:
        return datetime.date(int(first), int(second), int(third))
    day, number = (second, first) if order == MONTH_FIRST else (first, second)
    return datetime.date(_year(third), int(number), int(day))


def _without_year(month: int, day: str) -> datetime.date:
    return datetime.date(2000, month, int(day))  # a year that has the 29th of February


def _year(text: str) -> int:
    year = int(text)
    return year if len(text) > 2 else year + (2000 if year < _FIRST_OF_CENTURY else 1900)


@cache
def _month(word: str) -> int:
    """Return the number of the month that a word or its beginning names; 0 for other words."""
    word = word.casefold()
    if len(word) < 3:
        return 0
    for number, names in enumerate(_MONTH_NAMES, 1):
        if any(name.startswith(word) for name in names.split()):
            return number
    return 0
