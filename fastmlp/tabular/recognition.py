"""What the first part of a file says about it: formats, separators, first lines."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from ..exceptions import DataError
from .conversion import MISSING_WORDS
from .encodings import marked_encoding

_CSV = "save the table as CSV"
_PANDAS = "save the table as CSV, for example with pandas"

# Formats of other programs, by the bytes that a file begins with.
_FORMATS = {
    b"ARROW1": ("an Arrow (Feather) file", _PANDAS),
    b"\xff\xff\xff\xff": ("an Arrow stream", _PANDAS),
    b"FEA1": ("a Feather file", _PANDAS),
    b"ORC": ("an ORC file", _PANDAS),
    b"Obj\x01": ("an Avro file", _CSV),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an Excel workbook or another old Office file", _CSV),
    b"SQLite format 3\x00": ("an SQLite database", "save a table of it as CSV"),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", _PANDAS),
    b"%PDF-": ("a PDF document", _CSV),
    b"{\\rtf": ("an RTF document", _CSV),
    b"\x93NUMPY": ("a NumPy array", "save it as CSV, for example with numpy.savetxt"),
    b"\x80\x02": ("a Python pickle", _PANDAS),
    b"\x80\x03": ("a Python pickle", _PANDAS),
    b"\x80\x04": ("a Python pickle", _PANDAS),
    b"\x80\x05": ("a Python pickle", _PANDAS),
    b"RDX": ("data of R", "save the table with write.csv"),
    b"X\n\x00\x00": ("data of R", "save the table with write.csv"),
    b"<stata_dta>": ("a Stata file", _PANDAS),
    b"$FL": ("an SPSS file", _PANDAS),
    b"MATLAB 5.0": ("a MATLAB file", _CSV),
    b"\x89PNG": ("an image", "a table is needed"),
    b"\xff\xd8\xff": ("an image", "a table is needed"),
    b"GIF8": ("an image", "a table is needed"),
    b"\x7fELF": ("a program", "a table is needed"),
}
_TEXT_FORMATS = {
    r"<(!doctype|html|head|body|table)\b": ("an HTML page", "perhaps a message of a web server"),
    r"<(\?xml|!--)": ("an XML file", _CSV),
    r"@relation\b": ("an ARFF file", _CSV),
    r"version https://git-lfs\.": ("a pointer of Git LFS", "get the file itself: git lfs pull"),
    r'\{\s*"[^"]*"\s*:|\[\s*(\{\s*"[^"]*"\s*:|\{\s*\}|\[)': ("JSON", _PANDAS),
}
SEPARATORS = (",", ";", "\t", "|")
_MOST_RECORDS = 200
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d+(\.0*)?")
_CONTROL_CODES = bytes(code for code in range(32) if code < 9 or code > 13)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


def refuse_other_formats(name: str, head: bytes) -> None:
    """Raise DataError for a file whose first bytes are those of another format than CSV.

    Parameters
    ----------
    name : str
        How messages call the file.
    head : bytes
        The first bytes.
    """
    # A column can be called ORC, but text has no control codes.
    is_binary = _is_binary(head)
    found = None
    for magic, what in _FORMATS.items():
        if head.startswith(magic) and (is_binary or not magic.isalnum()):
            found = what
    if found is None:
        text = head.decode(marked_encoding(head) or "latin-1", errors="ignore").lstrip().lower()
        for pattern, what in _TEXT_FORMATS.items():
            if re.match(pattern, text):
                found = what
        if found is None and text.startswith(("[", "{")) and _is_json(text.splitlines()[0]):
            found = "JSON", _PANDAS
    if found is not None:
        raise DataError(f"{name}: this is {found[0]}, not CSV; {found[1]}")


def _is_binary(head: bytes) -> bool:
    return len(head.translate(None, _CONTROL_CODES)) < len(head)


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict | list)
    except (ValueError, RecursionError):
        return False


def is_parquet(head: bytes) -> bool:
    """Tell whether the first bytes of a file are those of Parquet; text may begin with PAR1."""
    return head.startswith(b"PAR1") and _is_binary(head)


def is_number(field: str) -> bool:
    """Tell whether a field looks like a number, with a point or a comma."""
    return _NUMBER.fullmatch(field.strip()) is not None


@dataclass
class Beginning:
    """What the first part of a table says.

    Attributes
    ----------
    separator : str
        The character between two fields.
    is_recognised : bool
        Whether the separator is neither the user's choice nor said by the file or its name.
    n_skipped : int
        Number of lines above the header that are no part of the table.
    n_comments : int
        How many of these lines are comments.
    lines : list of str
        The first lines, those above the header included.
    records : list of list of str
        The first records, the header included.
    """

    separator: str
    is_recognised: bool
    n_skipped: int
    n_comments: int
    lines: list[str]
    records: list[list[str]]


def recognise(
    sample: str, is_whole: bool, separator: str | None, ending: str, header: bool
) -> Beginning:
    """Find the separator of a table, and the lines above its header.

    Parameters
    ----------
    sample : str
        The first part of the file.
    is_whole : bool
        Whether the sample is the whole file.
    separator : str or None
        The user's choice, if there is one.
    ending : str
        The ending of the file's name; '.tsv' and '.tab' stand for tabs.
    header : bool
        Whether there is a line of names.

    Returns
    -------
    Beginning
    """
    lines = io.StringIO(sample, newline="").readlines()
    if not is_whole:
        lines = lines[:-1] or lines
    n_skipped = 0
    declared = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    if declared is not None:  # a line for Excel
        n_skipped, said = 1, declared[1]
    else:
        said = "\t" if ending in (".tsv", ".tab") else ","
    n_comments = _count_comments(lines[n_skipped:])
    below = lines[n_skipped + n_comments :]
    if separator is not None:
        chosen = separator
    elif declared is not None:
        chosen = said
    else:
        chosen = _best_separator(below, said)
    is_recognised = separator is None and chosen != said
    # The last of several comments can be the header, as in tables of genomes.
    n_skipped += n_comments
    if header and n_comments and _is_header(lines[n_skipped - 1], below, chosen):
        n_comments, n_skipped = n_comments - 1, n_skipped - 1
    records = first_records(lines[n_skipped:], chosen)
    return Beginning(chosen, is_recognised, n_skipped, n_comments, lines, records)


def _count_comments(lines: Sequence[str]) -> int:
    count = 0
    for i, line in enumerate(lines):
        if line.startswith("#"):
            count = i + 1
        elif line.strip():
            break
    return count


def _is_header(comment: str, below: Sequence[str], separator: str) -> bool:
    """Tell whether a comment has the names of the columns of the lines below it."""
    names, values = first_records([comment], separator), first_records(below[:10], separator)
    if not names or not values or len(names[0]) != len(values[0]) or len(values[0]) < 2:
        return False
    if any(map(is_number, names[0])):
        return False
    # A line of text above numbers is the header itself.
    has_numbers = [any(map(is_number, record)) for record in values[:2]]
    return has_numbers[0] or not any(has_numbers)


def first_records(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Split the first lines of a table into records of fields, without blank lines."""
    records: list[list[str]] = []
    try:
        for record in csv.reader(lines, delimiter=separator, skipinitialspace=separator != " "):
            if len(record) > 1 or (record and record[0].strip()):
                records.append(record)
            if len(records) == _MOST_RECORDS:
                break
    except csv.Error:  # a very long field
        pass
    return records


def _shape(lines: Sequence[str], separator: str) -> tuple[int, float, bool]:
    """Return the usual number of fields, the share of records that have it, and if the first has.

    The number is that of the records below the first, which can be a title.
    """
    widths = [len(record) for record in first_records(lines, separator)] or [0]
    width = Counter(widths[1:] or widths).most_common(1)[0][0]
    return width, widths.count(width) / len(widths), widths[0] == width


def _best_separator(lines: Sequence[str], usual: str) -> str:
    """Choose the character that splits all records into the same number of fields."""
    shapes = {character: _shape(lines, character) for character in SEPARATORS}
    split = {c: shape for c, shape in shapes.items() if shape[0] > 1}

    def rank(character: str) -> tuple[bool, float, bool, int]:
        width, share, is_first = split[character]
        return is_first, share, character == usual, width

    clean = [c for c, (_, share, _) in split.items() if share == 1]
    clean = [c for c in clean if not _breaks_quotes(lines, c)] or clean
    if usual in clean or not split:
        return usual if split else _only_in_header(lines, usual)
    if "," in clean:
        return ","
    best = max(clean or split, key=rank)
    # Text in a single column has commas as well, but not in its name.
    return best if split[best][1] >= 0.5 and split[best][2] else _only_in_header(lines, best)


def _breaks_quotes(lines: Sequence[str], separator: str) -> bool:
    """Tell whether fields have single quotation marks: the separator stands between two marks."""
    records = first_records(lines, separator)
    return any(field.count('"') % 2 == 1 for record in records for field in record)


def _only_in_header(lines: Sequence[str], otherwise: str) -> str:
    """Choose a separator for records that are all of other lengths than the header."""
    widths = {
        character: len(records[0])
        for character in SEPARATORS
        if (records := first_records(lines[:1], character))
    }
    best = max(widths, key=lambda c: (widths[c], c == otherwise), default=otherwise)
    below = first_records(lines[1:], best)
    if below and all(len(record) == 1 for record in below):
        return otherwise  # the name of a single column has that character
    return best if widths.get(best, 1) > 1 and widths.get(otherwise, 1) == 1 else otherwise


def better_separator(lines: Sequence[str], separator: str) -> tuple[str, int] | None:
    """Find another separator that gives several columns where this one gives a single one.

    Parameters
    ----------
    lines : sequence of str
        The first lines, from the header on.
    separator : str

    Returns
    -------
    (separator, n_columns) : tuple or None
    """
    for other in (*SEPARATORS, "~", "^", " ", ":"):
        records = first_records(lines, other)
        width, share, _ = _shape(lines, other)
        if other == separator or width < 2 or share < 1 or len(records) < 2:
            continue
        if other == " " and has_wide_gaps(lines):
            continue  # there would be columns without values
        # Words have blanks between them, too.
        if other in SEPARATORS or all(any(map(is_number, record)) for record in records[1:]):
            return other, width
    return None


def has_wide_gaps(lines: Sequence[str]) -> bool:
    """Tell whether each line has several blanks between words, as in columns that are aligned."""
    return all(re.search(r"\S {2,}\S", line) for line in lines if line.strip())


def has_integers(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether a column may hold integers alone, by the first rows of the table."""
    for column in zip(*rows, strict=False):
        numbers = [value for value in column if any(map(str.isdigit, value))]
        if numbers and all(_INTEGER.fullmatch(value.strip()) for value in numbers):
            return True
    return not rows


def title_above(records: Sequence[Sequence[str]]) -> int:
    """Count the records above the header that look like a title; 0 if the first is the header.

    What looks like the header has all its names, none of which is a number, and the record below
    it has a number. A title has a single field, alone or before empty ones.
    """
    filled = [[field for field in record if field.strip()] for record in records[:10]]
    for i in range(1, len(filled) - 1):
        if len(filled[i - 1]) != 1:
            return 0
        names, values = filled[i], filled[i + 1]
        is_header = len(names) == len(records[i]) > 1 and not any(map(is_number, names))
        if is_header and len(records[i + 1]) == len(names) and any(map(is_number, values)):
            return i
    return 0


def first_record_is_data(records: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first record of a table looks like one more row rather than a header."""
    width = len(records[0])
    rows = [row for row in records[1:] if len(row) == width]
    if not rows:
        return False
    columns = {}
    for i, column in enumerate(zip(*rows, strict=True)):
        fields = [field.strip() for field in column]
        values = pd.Series(
            [f if f and f not in MISSING_WORDS else None for f in fields], dtype=object
        )
        present = values.dropna()
        is_numeric = len(present) > 0 and all(map(is_number, present))
        columns[i] = values.notna().map({True: 1.0, False: np.nan}) if is_numeric else values
    return first_row_is_data([field.strip() for field in records[0]], pd.DataFrame(columns))


def first_row_is_data(names: Sequence[str], frame: pd.DataFrame) -> bool:
    """Tell whether the header looks like one more row of the table.

    Parameters
    ----------
    names : sequence of str
        The fields of the first line.
    frame : pandas.DataFrame
        The rows below it, with columns in the same order.
    """
    present = [i for i, name in enumerate(names) if name and name not in MISSING_WORDS]
    numeric = [i for i in present if is_number(names[i])]
    text = [i for i in present if not is_number(names[i])]
    if any(_has_numbers(frame.iloc[:, i]) for i in text):
        return False
    repeats = [i for i in text if (frame.iloc[:, i].astype(object) == names[i]).any()]
    if not numeric:
        return len(text) > 1 and len(repeats) == len(text)
    # Years and counts are names as well.
    return bool(repeats) or not _are_counts([names[i] for i in numeric])


def first_row_is_names(records: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first record of a headless table has text where others have numbers."""
    if len(records) < 2 or any(not name.strip() or is_number(name) for name in records[0]):
        return False
    columns = list(zip(*records[1:], strict=False))
    return any(all(is_number(value) for value in column) for column in columns)


def _has_numbers(column: pd.Series) -> bool:
    is_bool = pd.api.types.is_bool_dtype(column)
    return pd.api.types.is_numeric_dtype(column) and not is_bool and bool(column.notna().any())


def _are_counts(names: Sequence[str]) -> bool:
    """Tell whether names are years or numbers that go up or down by one."""
    if not all(re.fullmatch(r"\d{1,9}", name) for name in names):
        return False
    numbers = [int(name) for name in names]
    steps = {after - before for before, after in pairwise(numbers)}
    if len(numbers) == 1 and numbers[0] in (0, 1):
        return True
    if all(1800 <= number <= 2200 for number in numbers):
        return all(step > 0 for step in steps) or all(step < 0 for step in steps)
    return len(steps) == 1 and steps <= {1, -1}
