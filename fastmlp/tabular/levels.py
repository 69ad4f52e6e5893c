"""The levels of text columns: which ones a model has, and which one a cell is."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .cells import Cells, cells_of, texts_of
from .columns import MOST_LEVELS, called

MISSING = "(missing)"
# How the levels of a model keep the word "(missing)", which is not a missing value. No other text
# can be mistaken for it, since all other levels have no blanks at their ends.
_WORD_MISSING = MISSING + " "


def level_counts(column: pd.Series) -> list[tuple[str, int]]:
    """Count the rows of each level of a text column.

    Parameters
    ----------
    column : pandas.Series
        A text column. Missing values and blanks are a level of their own, named ``MISSING``.
        Blanks around other text do not matter.

    Returns
    -------
    list of tuple
        The names of the levels and their numbers of rows; the most frequent level comes first.
        The word "(missing)" has a blank at its end, so that it differs from a missing value.
    """
    cells = cells_of(column, called(column.name))
    names = [_stored(text) for text in texts_of(cells)]
    per_value = np.bincount(cells.codes[cells.codes >= 0], minlength=len(names))
    counts = Counter({MISSING: int((cells.codes < 0).sum())})
    for name, count in zip(names, per_value.tolist(), strict=True):
        counts[name] += count
    counts = +counts  # removes levels that do not occur
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def frequent_levels(
    counts: Sequence[tuple[str, int]], fewest: int, most: int = MOST_LEVELS
) -> list[str]:
    """List the levels of a text column that get an input of their own.

    Parameters
    ----------
    counts : list of tuple
        As from :func:`level_counts`.
    fewest : int
        The number of rows that a level must have at least.
    most : int, default=64
        The number of levels that may have inputs. All others are one group.

    Returns
    -------
    list of str
        The most frequent level comes first.
    """
    return [level for level, count in counts[:most] if count >= fewest]


def _stored(text: str) -> str:
    """Return the name of a level for a text without blanks around it."""
    return _WORD_MISSING if text == MISSING else text or MISSING


def shown_level(level: str) -> str:
    """Return a level as the names of inputs show it; a missing value is ``(missing)``."""
    return f"'{level.strip()}'" if level in (_WORD_MISSING, "(other)") else level


def level_places(levels: Sequence[str]) -> dict[str, int]:
    """Map the text in cells to positions in `levels`; '' is a missing value.

    The word "(missing)" is taken as a missing value where training had no such word. If training
    had no missing values, '' is not mapped.
    """
    places = {level: i for i, level in enumerate(levels) if level not in (MISSING, _WORD_MISSING)}
    for level, place in list(places.items()):
        places.setdefault(level.strip(), place)
    if MISSING in levels:
        places.setdefault("", levels.index(MISSING))
        places[MISSING] = levels.index(MISSING)
    if _WORD_MISSING in levels:
        places[MISSING] = levels.index(_WORD_MISSING)
    return places


def level_codes(column: pd.Series, levels: Sequence[str]) -> NDArray[np.intp]:
    """Encode each value of a text column by its position in `levels`.

    Parameters
    ----------
    column : pandas.Series
        Of any type. A number is the level of its digits: 1, 1.0 and '1' are alike.
    levels : list of str
        As from :func:`frequent_levels`, for its column.

    Returns
    -------
    ndarray of shape (n_rows,), int
        A value that is not among the levels has the code ``len(levels)``.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        categorical: Any = column.array
        cells = Cells(categorical.codes, categorical.categories.tolist())
    else:
        cells = cells_of(column, called(column.name))
    places = level_places(levels)
    other = len(levels)
    found = [
        place_of(value, text, places, other)
        for value, text in zip(cells.distinct, texts_of(cells), strict=True)
    ]
    codes: NDArray[np.intp] = cells.spread(found, places.get("", other), np.intp)
    return codes


def place_of(value: Any, text: str, places: dict[str, int], other: int) -> int:
    """Return the code of one value of a text column, of which `text` is the usual name."""
    if text in places or isinstance(value, str):
        return places.get(text, other)
    # The type of a column of numbers depends on whether a value is missing.
    if isinstance(value, float | np.floating) and value == np.floor(value):
        return places.get(str(int(value)), other)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return places.get(str(float(value)), other)
    return other


_ENOUGH_ROWS = 10
_KNOWN_SHARE = 0.2  # of the rows that should have a level which is known
_SHOWN = 1000  # different values that are compared with the levels


def unknown_levels(
    column: pd.Series, is_unknown: NDArray[np.bool_], levels: Sequence[str], rare_share: float
) -> str:
    """Say that a text column has hardly a level that the model knows.

    A few unknown levels are nothing to speak of. It is said if fewer than a fifth of the rows are
    known that should be, after the share in training, in a column where at least 10 should be; and
    for fewer rows if none is known and one differs only by capitals from a level that is.

    Parameters
    ----------
    column : pandas.Series
    is_unknown : ndarray of shape (n_rows,), bool
        Where the value is not among the levels.
    levels : list of str
    rare_share : float
        The share of rows in training whose text had no input of its own.

    Returns
    -------
    str
        The remark, or '' if there is nothing to say.
    """
    if not is_unknown.any():
        return ""
    is_present = np.asarray(column.notna())
    n_present = int(is_present.sum())
    n_known = int((~is_unknown & is_present).sum())
    if n_known >= _KNOWN_SHARE * n_present:  # as for most tables, which is told quickly
        return ""
    unknown = [str(value) for value in column[is_unknown & is_present].unique()[:_SHOWN].tolist()]
    return remark_on_unknown(unknown, n_present, n_known, levels, fold_levels(levels), rare_share)


def fold_levels(levels: Sequence[str]) -> dict[str, str]:
    """Map the levels of a column, without capitals and accents, to the levels themselves."""
    return {fold(level): level for level in levels if level != MISSING}


def remark_on_unknown(
    unknown: Sequence[str],
    n_present: int,
    n_known: int,
    levels: Sequence[str],
    folded: Mapping[str, str],
    rare_share: float,
) -> str:
    """Say what :func:`unknown_levels` says, by what has been counted.

    Parameters
    ----------
    unknown : sequence of str
        The different values that are not among the levels.
    n_present, n_known : int
        The numbers of rows with a value, and with one that is among the levels.
    levels : sequence of str
    folded : dict of str to str
        As from :func:`fold_levels`.
    rare_share : float

    Returns
    -------
    str
    """
    n_expected = n_present * (1 - rare_share)
    real = [level for level in levels if level != MISSING]
    is_enough = n_expected >= _ENOUGH_ROWS
    if n_known >= _KNOWN_SHARE * n_expected if is_enough else n_known:
        return ""
    alike = [(text, folded[key]) for text in unknown[:_SHOWN] if (key := fold(text)) in folded]
    if not (is_enough or alike) or not unknown or not real:
        return ""
    share = "no" if not n_known else f"only {n_known} of {n_present}"
    plural = "value" if share == "no" else "values"
    message = (
        f"has {share} {plural} that the model knows: it has "
        f"{_listed(unknown)}, and training had {_listed(real)}"
    )
    if alike:
        message += f" ({alike[0][0]!r} and {alike[0][1]!r} differ only by capitals or accents)"
    return message + "; the others count as rare"


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(map(repr, texts[:3])) + (", ..." if len(texts) > 3 else "")


def fold(text: str) -> str:
    """Return a text in which capitals, accents and the number of blanks do not matter."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(a for a in letters if not unicodedata.combining(a)).split())
