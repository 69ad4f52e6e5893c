"""Numbers and names as the page of a report shows them."""

import math
from collections.abc import Sequence
from typing import Any

# What stands where there is no number.
NONE = "\N{EN DASH}"


def shown(text: object, limit: int = 60) -> str:
    r"""Write a text from a table so that all of it can be seen, and cut it when it is long.

    Control characters, marks of writing direction and halves of surrogate pairs become escapes
    such as ``\x1b``.

    Parameters
    ----------
    text : object
    limit : int, default=60
        The most characters.

    Returns
    -------
    str
    """
    whole = str(text)
    cut = whole if len(whole) <= limit else whole[: limit - 1] + "…"
    if not cut.isprintable():
        cut = "".join(
            letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
            for letter in cut
        )
    return cut


def quoted(text: object, limit: int = 60) -> str:
    """Write a name within quotation marks."""
    return f"“{shown(text, limit)}”"


def listed(texts: Sequence[str], most: int = 8) -> str:
    """Write a list with commas and an "and"; above `most` texts, say how many more there are."""
    found = list(texts)
    if len(found) > most:
        found = [*found[: most - 1], f"{len(texts) - most + 1} more"]
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def count(number: int, singular: str, plural: str = "") -> str:
    """Write a number of things, such as ``1 row`` or ``1,200 rows``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def percent(share: float) -> str:
    """Write a share as a percentage with one digit behind the point, such as ``0.3 %``."""
    if not math.isfinite(share):
        return NONE
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    value = 100 * share
    digits = 0 if abs(value - round(value)) < 1e-9 else 1
    return f"{value:.{digits}f} %"


def number(value: Any) -> str:
    """Write a number with four digits that count, and marks of thousands; a dash if there is none.

    Parameters
    ----------
    value : float or None

    Returns
    -------
    str
    """
    if value is None or not math.isfinite(value):
        return NONE
    value = float(value)
    if value != 0 and not 1e-3 <= abs(value) < 1e9:
        return _signed(f"{value:.3g}")
    if abs(value) >= 1000:
        return _signed(f"{value:,.0f}")
    return _signed(f"{value:.4g}")


def _signed(text: str) -> str:
    """Write a minus sign where a hyphen stands, but none before a zero."""
    if text.startswith("-") and not text.strip("-0.,"):
        text = text[1:]
    return text.replace("-", "\N{MINUS SIGN}")


def digits_for(low: float, high: float) -> int | None:
    """Return how many digits behind the point the width of an interval is worth; None without."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return None
    return min(max(1 - math.floor(math.log10(high - low)), 0), 9)


def with_interval(
    value: float, low: float, high: float, digits: int | None = None
) -> tuple[str, str]:
    """Write a number and its interval, with as many digits as the width of the interval is worth.

    Parameters
    ----------
    value, low, high : float
    digits : int, optional
        The digits behind the point, where they are those of another interval.

    Returns
    -------
    value, interval : str
        The interval is empty where there is none.
    """
    if not math.isfinite(value):
        return NONE, ""
    own = digits_for(low, high)
    digits = own if digits is None else digits
    if digits is None:
        return number(value), ""
    shown_value = _signed(f"{value:,.{digits}f}")
    if own is None:
        return shown_value, ""
    return shown_value, f"{_signed(f'{low:,.{digits}f}')} to {_signed(f'{high:,.{digits}f}')}"
