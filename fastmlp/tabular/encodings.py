"""The encoding of the text in a file: byte-order marks, and what the bytes look like."""

import codecs
import re

from ..exceptions import DataError

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_FEW_KINDS = 5
_NOT_IN_CP1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")


def recognise_encoding(name: str, head: bytes) -> str:
    """Return the encoding of a file.

    It is that of a byte-order mark; UTF-16 or UTF-32 where zero bytes stand as in Latin scripts;
    UTF-8 where the bytes are that; and else what :func:`older_encoding` finds.

    Parameters
    ----------
    name : str
        How messages call the file.
    head : bytes
        The first bytes.

    Returns
    -------
    str

    Raises
    ------
    DataError
        When these bytes are no text.
    """
    if (marked := marked_encoding(head)) is not None:
        return marked
    if 0 in head:
        # Letters of Latin scripts have zero bytes at every second or at three of four places.
        zeros = "".join("01"[head[i::4].count(0) > 0.5 * len(head[i::4])] for i in range(4))
        wide = {
            "0101": "utf-16-le",
            "1010": "utf-16-be",
            "0111": "utf-32-le",
            "1110": "utf-32-be",
        }.get(zeros)
        if wide is not None:
            return wide
        raise DataError(f"{name}: cannot be read as CSV: it is no text (it has zero bytes)")
    counts = [head.count(code) for code in range(32) if code not in b"\t\n\r\f"]
    # Text for a terminal has some control codes, of few kinds.
    share = 0.05 if len(counts) - counts.count(0) > _FEW_KINDS else 0.3
    if sum(counts) > share * len(head):
        raise DataError(f"{name}: cannot be read as CSV: it is no text (it has control codes)")
    return older_encoding(head) or "utf-8"


def older_encoding(part: bytes) -> str | None:
    """Find the encoding of text that is not UTF-8, as spreadsheets write it.

    Parameters
    ----------
    part : bytes
        Some of the text; a character may be cut at its end.

    Returns
    -------
    str or None
        'cp1252' or 'latin-1', whose Latin letters are among plain ones; None where the text is
        UTF-8, is so but for an error, or is in some other script.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    text = decoder.decode(part)
    if "\ufffd" not in text or any(letter > "\x7f" and letter != "\ufffd" for letter in text):
        return None
    if any(code in _NOT_IN_CP1252 for code in part):
        return None
    words = [word for word in re.findall(rb"[A-Za-z\x80-\xff]{3,}", part) if max(word) > 0x7F]
    foreign = [word for word in words if sum(code > 0x7F for code in word) > len(word) / 2]
    return None if 3 * len(foreign) > len(words) else other_encoding(part)


def encoding_note(encoding: str) -> str:
    """Return the words for the user about an encoding that was found out."""
    return f"it is no utf-8 text, and is read as {encoding} (name another with `encoding`)"


def check_encoding(encoding: str) -> str:
    """Return the name of an encoding that the user chose, if it can be used for text.

    Raises
    ------
    DataError
        When Python knows no such encoding, or one that is not for text files.
    """
    try:
        "a,b\n".encode(encoding)
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):  # also UnicodeError, and zeros in the name
        name = ""
    if name in ("", "idna", "punycode", "unicode-escape", "raw-unicode-escape"):
        raise DataError(f"there is no encoding {encoding!r} of text; try latin-1 or utf-16")
    return "utf-8-sig" if name == "utf-8" else name


def marked_encoding(head: bytes) -> str | None:
    """Return the encoding that a byte-order mark names, or None without one."""
    return next((encoding for mark, encoding in _MARKS.items() if head.startswith(mark)), None)


def other_encoding(head: bytes) -> str:
    """Propose an encoding for text that is not UTF-8."""
    if (marked := marked_encoding(head)) is not None:
        return marked
    # These codes are letters and signs in Windows' encoding, and hardly ever used in latin-1.
    return "cp1252" if any(0x80 <= code < 0xA0 for code in head) else "latin-1"
