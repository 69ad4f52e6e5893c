"""Dates and times that are written as text."""

import re
from collections.abc import Sequence

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
