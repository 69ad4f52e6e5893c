"""Numbers that are written as text: plain ones, and those with marks of a country or a currency.

A *form* is a short text that shows how the numbers of a column are written, such as ``1,234.5``,
``1.234,5 EUR`` or ``1234.5%``. It tells the marks of thousands and of decimals, and the unit.
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The marks of decimals and of thousands of each form without a unit. Where several forms fit a
# column, the first one counts.
_MARKS = {
    "1,234.5": (".", ","),
    "1.234,5": (",", "."),
    "1 234.5": (".", " "),
    "1 234,5": (",", " "),
    "1'234.5": (".", "'"),
    "1'234,5": (",", "'"),
}
_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)

_MINUS = r"\-" "\N{MINUS SIGN}\N{EN DASH}\N{FULLWIDTH HYPHEN-MINUS}"
_BLANKS = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}\N{FIGURE SPACE}"
_QUOTES = "'\N{RIGHT SINGLE QUOTATION MARK}\N{PRIME}\N{MODIFIER LETTER APOSTROPHE}"
_SIGNS = "$¢£¤¥฿\N{EURO-CURRENCY SIGN}-\N{SOM SIGN}﷼﹩\N{FULLWIDTH DOLLAR SIGN}￠￡￥￦"
_CODES = (
    "USD|EUR|GBP|JPY|CNY|RMB|CHF|AUD|CAD|NZD|SEK|NOK|DKK|ISK|PLN|CZK|HUF|RON|BGN|HRK|RUB|UAH|TRY|"
    "INR|PKR|BDT|IDR|MYR|SGD|HKD|TWD|KRW|THB|VND|PHP|ZAR|NGN|KES|EGP|MAD|ILS|AED|SAR|BRL|MXN|ARS|"
    "CLP|COP|PEN"
)
_UNIT = (
    rf"(?:[A-Z]{{0,2}}[{_SIGNS}]|(?:{_CODES}|[Ee]uro?s?|k[rč]|K[rč]|zł|Ft|Fr|SFr|Rs|Rp|RM|lei)\.?|"
    "[%\N{FULLWIDTH PERCENT SIGN}\N{PER MILLE SIGN}])"
)
_NUMBER = re.compile(
    rf"(?P<open>\()? (?P<first>[+{_MINUS}])?[ ]? (?P<before>{_UNIT})?[ ]?"
    rf"(?P<second>[+{_MINUS}])?[ ]? (?P<body>[0-9.,][0-9.,' ]*(?:[eE][+-]?[0-9]+)?)"
    rf"[ ]?(?P<after>{_UNIT})?[ ]?(?P<last>[{_MINUS}])? (?P<close>\))?",
    re.VERBOSE,
)
_TO_PLAIN_MARKS = str.maketrans({**dict.fromkeys(_BLANKS, " "), **dict.fromkeys(_QUOTES, "'")})
_PERCENT = ("%", "‰")
# A number with a unit that is not known, or between brackets.
_MEASURE = re.compile(
    r"(?P<before>[^\w\s.,+-]?)\s?[+-]?(?:\d[\d., ']*)?\d\s?(?P<unit>[^\s\d.,_+-][^\d]{0,15})"
)
_FEWEST_MEASURES = 10


def _body_pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    """Return what the digits and marks of a number look like."""
    point, group = re.escape(decimal), re.escape(thousands)
    whole = rf"[0-9]+|[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+"
    if thousands == ",":
        whole += r"|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}"  # lakhs and crores
    return re.compile(rf"(?:(?:{whole})(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?")


_BODIES = {marks: _body_pattern(*marks) for marks in _MARKS.values()}


@dataclass(frozen=True)
class _Parts:
    """A text that may be a number: its digits and marks, its unit, and whether it is negative."""

    body: str
    unit: str
    is_negative: bool
    unit_is_first: bool


def _parts(text: str) -> _Parts | None:
    """Take a text apart; None if it is no number of any form."""
    match = _NUMBER.fullmatch(text if text.isascii() else text.translate(_TO_PLAIN_MARKS))
    if match is None or (match["open"] is None) != (match["close"] is None):
        return None
    signs = [sign for sign in match.group("first", "second", "last") if sign]
    if len(signs) + (match["open"] is not None) > 1 or (match["before"] and match["after"]):
        return None
    body = match["body"].rstrip()
    is_negative = match["open"] is not None or (bool(signs) and signs[0] != "+")
    unit = (match["before"] or match["after"] or "").replace("\N{FULLWIDTH PERCENT SIGN}", "%")
    return _Parts(body, unit, is_negative, bool(match["before"]))


def _value(parts: _Parts, marks: tuple[str, str]) -> float | None:
    """Return the number, or None if its marks are others."""
    if _BODIES[marks].fullmatch(parts.body) is None:
        return None
    decimal, thousands = marks
    value = float(parts.body.replace(thousands, "").replace(decimal, "."))
    return -value if parts.is_negative else value


def plain_number(text: str) -> float | None:
    """Read a number as Python and pandas write it; infinity counts, not-a-number does not.

    Parameters
    ----------
    text : str
        Blanks around the number do not matter.

    Returns
    -------
    float or None
        None for any other text.
    """
    text = text.strip()
    if _PLAIN.fullmatch(text) or _INFINITE.fullmatch(text):
        return float(text)
    return None


def number_in_form(text: str, form: str) -> float | None:
    """Read a number that is written in a form; ``4.5%`` is 4.5, and ``(3)`` is -3.

    Parameters
    ----------
    text : str
    form : str
        As from :func:`find_forms`; with '' only plain numbers are read.

    Returns
    -------
    float or None
        None for any other text, also for a number with another unit.
    """
    if not form:
        return plain_number(text)
    expected, parts = _parts(form), _parts(text.strip())
    if parts is None or expected is None:
        return None
    value = _value(parts, _MARKS[expected.body])
    is_alike = parts.unit == expected.unit or (
        not parts.unit and (expected.unit not in _PERCENT or value == 0)
    )
    return value if is_alike else None


def is_form(text: str) -> bool:
    """Tell whether :func:`number_in_form` knows a form; '' is that of plain numbers."""
    parts = _parts(text)
    return not text or (parts is not None and parts.body in _MARKS)


def looks_like_number(text: str) -> bool:
    """Tell whether a text is a number of any form."""
    if text.isascii() and text.isdigit():
        return True
    parts = _parts(text.strip())
    return parts is not None and any(_value(parts, m) is not None for m in _MARKS.values())


def misread_note(values: NDArray[np.float64], form: str) -> str:
    """Say that numbers look like text of a form whose marks of thousands were taken for points.

    A reader that does not know that 1.234 is a thousand and more makes 1.234 of it.

    Parameters
    ----------
    values : ndarray of shape (n_rows,)
        What came as numbers, where training had text.
    form : str
        How the text of the training was written.

    Returns
    -------
    str
        A remark for the user; '' if there is nothing to say.
    """
    parts = _parts(form)
    if parts is None or parts.unit or _MARKS[parts.body][1] != ".":
        return ""
    fractions = values[np.isfinite(values) & (values != np.round(values))]
    thousandths = fractions * 1000
    if not np.allclose(thousandths, np.round(thousandths), rtol=0, atol=1e-6):
        return ""
    has_three_places = np.round(thousandths) % 10 != 0
    sizes = np.abs(fractions)
    # Text with marks of thousands would not be read as numbers below 1, nor as such from 1000 on.
    if not has_three_places.any() or sizes.min() < 1 or sizes.max() >= 1000:
        return ""
    shown = fractions[np.argmax(has_three_places)]
    return (
        f"has the number {shown:.3f}, and training had text such as {form}, where {shown:.3f} "
        f"means {shown * 1000:.0f}; if it was read from such text, read it with decimal=',' and "
        "thousands='.'"
    )


def common_unit(texts: Sequence[str]) -> str:
    """Say that texts look like numbers with a unit, such as ``12 kg``; '' if they do not.

    Parameters
    ----------
    texts : sequence of str
        The different texts of a column.
    """
    found = [_MEASURE.fullmatch(text) for text in texts[:1000] if text]
    units = Counter((match["before"], match["unit"]) for match in found if match)
    if not units:
        return ""
    (before, unit), count = units.most_common(1)[0]
    if count < _FEWEST_MEASURES or count < 0.9 * len(found):
        return ""
    example = next(m[0] for m in found if m and (m["before"], m["unit"]) == (before, unit))
    example = " ".join(example.split())  # without the signs for blanks of other kinds
    shown = f"{before}...{unit}" if before else unit
    return (
        f"looks like numbers with {shown!r}, such as {example!r}; write the numbers alone to have "
        "them read as such"
    )


@dataclass(frozen=True)
class _Candidates:
    """The forms that all texts of a column may have, the likeliest first."""

    forms: list[str]
    example: str  # the text that shows best how the numbers are written

    def with_decimal(self, mark: str) -> str | None:
        """Return the likeliest form with this mark of decimals, or None."""
        return next((form for form in self.forms if mark + "5" in form), None)

    @property
    def decimal(self) -> str:
        """The mark of decimals where it is certain, and else ''."""
        marks = {mark for mark in ".," if self.with_decimal(mark)}
        return marks.pop() if len(marks) == 1 else ""

    def other(self, form: str) -> str | None:
        """Return a form with the other mark of decimals that means other numbers, or None."""
        other = self.with_decimal("." if ",5" in form else ",")
        if other and number_in_form(self.example, other) != number_in_form(self.example, form):
            return other
        return None


def _candidates(texts: Sequence[str]) -> _Candidates | None:
    """Find the forms that fit all texts; None if none does, or if all are plain numbers."""
    if all(map(_PLAIN.fullmatch, texts)):
        return None
    parts = []
    for text in texts:
        found = _parts(text)
        if found is None:
            return None
        parts.append(found)
    units = {part.unit for part in parts} - {""}
    if len(units) > 1:
        return None
    readings: dict[str, list[float]] = {}
    for form, marks in _MARKS.items():
        values = [value for part in parts if (value := _value(part, marks)) is not None]
        if len(values) == len(parts):
            readings[form] = values
    if not readings:
        return None
    values = next(iter(readings.values()))
    if units & set(_PERCENT) and any(not p.unit and v for p, v in zip(parts, values, strict=True)):
        return None  # without the sign, a number may be a share of one
    # A mark that may be either is that of thousands, and the numbers are larger then.
    ranked = sorted(readings, key=lambda form: -max(map(abs, readings[form])))
    unit = next(iter(units), "")
    is_first = any(part.unit_is_first for part in parts)
    marked = [text for text, part in zip(texts, parts, strict=True) if not part.body.isdigit()]
    example = max(marked or texts, key=_oddness)
    return _Candidates([_with_unit(form, unit, is_first) for form in ranked], example)


def _oddness(text: str) -> int:
    """Count the signs of a text that are not digits."""
    return sum(not letter.isdigit() for letter in text)


def _with_unit(form: str, unit: str, is_first: bool) -> str:
    """Put a unit before or behind a form."""
    if not unit:
        return form
    if is_first:
        return f"{unit} {form}" if unit.isalpha() else f"{unit}{form}"
    return f"{form}{unit}" if unit in _PERCENT else f"{form} {unit}"


def find_forms(
    columns: Mapping[Hashable, Iterable[str]], decimal: str | None = None
) -> dict[Hashable, tuple[str, str]]:
    """Find the columns of text that hold numbers in a form that is not plain.

    All texts of a column must be numbers. Where a mark may be that of thousands or of decimals, as
    in ``1,500``, the other columns decide if all of them agree, and else it is that of thousands.

    Parameters
    ----------
    columns : dict of hashable to iterable of str
        The different texts of each column, without blanks around them.
    decimal : {',', '.'}, optional
        The mark of decimals that the user has named, which decides instead.

    Returns
    -------
    dict of hashable to (form, remark)
        The form of each column that holds such numbers, and words for the user that say how they
        are read.
    """
    found = {}
    for name, texts in columns.items():
        candidates = _candidates(list(texts))
        if candidates is not None:
            found[name] = candidates
    marks = {each.decimal for each in found.values()} - {""}
    agreed = decimal or (marks.pop() if len(marks) == 1 else None)
    chosen = {}
    for name, each in found.items():
        form = (each.with_decimal(agreed) if agreed else None) or each.forms[0]
        meant = number_in_form(each.example, form)
        example = " ".join(each.example.split())  # without the signs for blanks of other kinds
        remark = f"is read as numbers: {example!r} is {meant:.15g}"
        other = each.other(form)
        if other is not None and decimal is None:
            meant, mark = number_in_form(each.example, other), "," if ",5" in other else "."
            remark += f" (if it is {meant:.15g}, say so with decimal={mark!r})"
        chosen[name] = form, remark
    return chosen
