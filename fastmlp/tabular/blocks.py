"""Parts of the text of a CSV file that end where a row ends, so that each is parsed by itself."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .examination import Watched

_LARGEST = 1 << 23  # bytes of a block, but for a row that is longer
_LONGEST_ROW = 1 << 24
_MOST_READ, _FEWEST_READ = 1 << 18, 1 << 12  # characters that are read at once
_BREAK, _RETURN, _QUOTE = b'\n\r"'
_BLANKS = b" \t\r\n"  # of lines that the parser leaves out
_IS_BLANK = np.zeros(256, dtype=bool)
_IS_BLANK[list(_BLANKS)] = True


class Block:
    """Some whole rows of a CSV file, as text.

    Parameters
    ----------
    text : bytes
        UTF-8. Each line break that is not between quotation marks ends a row.
    separator : int
        The character between two fields.
    n_above : int
        Number of lines of the file above the block.
    found : tuple of ndarray, optional
        The places of line breaks, and of the end of the last line, and those of quotation marks,
        where they are known.

    Attributes
    ----------
    n_lines : int
    """

    def __init__(
        self,
        text: bytes,
        separator: int,
        n_above: int,
        found: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None,
    ) -> None:
        self.text, self._separator, self._n_above = text, separator, n_above
        self._blanks = _BLANKS.replace(bytes([separator]), b"")  # separators make fields
        self._codes = np.frombuffer(text, dtype=np.uint8)
        if found is None:
            found = _places(text, self._codes, _BREAK), _places(text, self._codes, _QUOTE)
            if text and not text.endswith(b"\n"):
                found = np.append(found[0], len(text)), found[1]
        self._breaks, self._quotes = found
        self.n_lines, self._ends = len(self._breaks), self._outside(self._breaks)

    def until(self, end: int) -> "Block":
        """Return the block of the rows that end there."""
        breaks = self._breaks[: np.searchsorted(self._breaks, end)]
        quotes = self._quotes[: np.searchsorted(self._quotes, end)]
        return Block(self.text[:end], self._separator, self._n_above, (breaks, quotes))

    @property
    def is_plain(self) -> bool:
        """Whether it is certain where rows end.

        Quotation marks stand around whole fields alone, and lines do not end with a carriage
        return alone.
        """
        has_lone_returns = b"\r" in self.text and self.text.count(b"\r") != self.text.count(b"\r\n")
        return not has_lone_returns and self._has_plain_quotes()

    def _has_plain_quotes(self) -> bool:
        quotes = self._quotes
        if not len(quotes):
            return True
        if len(quotes) % 2:
            return False
        around = np.frombuffer(b"\n%b\n" % self.text, dtype=np.uint8)
        before, behind = around[quotes[::2]], around[quotes[1::2] + 2]
        opens = (before == self._separator) | (before == _BREAK)
        closes = (behind == self._separator) | (behind == _BREAK) | (behind == _RETURN)
        # Two marks that follow each other are one in a field.
        is_double = quotes[2::2] == quotes[1:-1:2] + 1
        opens[1:] |= is_double
        closes[:-1] |= is_double
        return bool(opens.all() and closes.all())

    def _outside(self, places: NDArray[np.intp]) -> NDArray[np.intp]:
        """Leave out places between quotation marks."""
        if not len(self._quotes):
            return places
        return places[np.searchsorted(self._quotes, places) % 2 == 0]

    def cut(self, n_rows: int) -> int | None:
        """Return where the first rows end; None where that is not in the text.

        They are `n_rows` at most, and no more than a block may hold.
        """
        n_lines = min(n_rows, max(1, int(np.searchsorted(self._breaks, _LARGEST))))
        if n_lines > self.n_lines:
            return None
        end = np.searchsorted(self._ends, self._breaks[n_lines - 1])
        return int(self._ends[end]) + 1 if end < len(self._ends) else None

    def widths(self) -> NDArray[np.intp]:
        """Return the number of fields of each row."""
        separators = self._outside(np.flatnonzero(self._codes == self._separator))
        widths: NDArray[np.intp] = np.diff(np.searchsorted(separators, self._ends), prepend=0) + 1
        return widths

    def first_width(self) -> int:
        """Return the number of fields of the first row that is no blank line; 0 without rows."""
        start = 0
        for end in self._ends:
            row = self.text[start : end + 1]
            if row.strip(self._blanks):
                return int(Block(row, self._separator, 0).widths()[0])
            start = end + 1
        return 0

    def lines(self) -> NDArray[np.intp]:
        """Return the number of the line where each row begins; blank lines are no rows."""
        starts = np.concatenate([[0], self._ends[:-1] + 1]).astype(np.intp)[: len(self._ends)]
        breaks = (
            np.searchsorted(self._breaks, starts) if len(self._quotes) else np.arange(len(starts))
        )
        numbers = breaks + self._n_above + 1
        is_row = np.ones(len(starts), dtype=bool)
        for i in np.flatnonzero(_IS_BLANK[self._codes[starts]]).tolist():
            is_row[i] = bool(self.text[starts[i] : self._ends[i]].strip(self._blanks))
        found: NDArray[np.intp] = numbers[is_row]
        return found


def _places(text: bytes, codes: NDArray[np.uint8], byte: int) -> NDArray[np.intp]:
    """Find a byte, quickly where it is not there."""
    return np.flatnonzero(codes == byte) if byte in text else np.empty(0, dtype=np.intp)


class Part:
    """Text that a parser reads as it is; from a file of :mod:`io` pandas would decode it first."""

    def __init__(self, text: bytes) -> None:
        self._text, self._place = text, 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines, as a file does; pandas takes nothing else for a file."""
        yield from self._text[self._place :].splitlines(keepends=True)

    def read(self, size: int) -> bytes:
        """Read the next bytes."""
        part = self._text[self._place : self._place + size]
        self._place += size
        return part


class BlockReader:
    """Cuts the rows of a CSV file into blocks.

    Parameters
    ----------
    watched : Watched
        At the first row.
    n_rows : int
        The most rows of a block.

    Attributes
    ----------
    n_lines : int
        Number of lines in all blocks so far.
    has_quotes : bool
        Whether they have quotation marks.
    """

    def __init__(self, watched: Watched, n_rows: int) -> None:
        self._watched, self._n_rows, self._n_above = watched, n_rows, watched.line
        self._separator = watched.separator.encode()[0]
        self._rest, self._is_at_end = b"", False
        self.n_lines, self.has_quotes = 0, False

    def __iter__(self) -> Iterator[Block]:
        """Yield blocks until the end, or until it is not certain where a row ends.

        Then :meth:`leave` gives back what is left.
        """
        while (block := self._next()) is not None and block.text:
            if not block.is_plain:
                self._rest = block.text + self._rest
                return
            self.n_lines += block.n_lines
            self.has_quotes |= b'"' in block.text
            yield block

    def leave(self) -> bool:
        """Give the stream back what is in no block, and tell whether there is anything."""
        self._watched.put_back(self._rest)
        return bool(self._rest)

    def _next(self) -> Block | None:
        """Return the next block; None where a row is too long for any."""
        n_above, is_enough = self._n_above + self.n_lines, False
        while True:
            self._read(is_enough)
            whole = Block(self._rest, self._separator, n_above)
            end = whole.cut(self._n_rows)
            if end is None and self._is_at_end:
                end = len(whole.text)
            if end is not None:
                self._rest = whole.text[end:]
                return whole.until(end) if self._rest else whole
            if len(whole.text) > _LARGEST + _LONGEST_ROW:
                return None
            is_enough = True  # but for the end of a row

    def _read(self, needs_more: bool) -> None:
        """Read on until there may be enough rows for a block, or a part at least."""
        parts, size, n_breaks = [self._rest], len(self._rest), self._rest.count(b"\n")
        at_once = max(min(_MOST_READ, max(_FEWEST_READ, 64 * self._n_rows)), size * needs_more)
        while not self._is_at_end and (needs_more or (n_breaks < self._n_rows and size < _LARGEST)):
            part = self._watched.read_part(at_once)
            needs_more, self._is_at_end = False, not part
            parts.append(part)
            size += len(part)
            n_breaks += part.count(b"\n")
        self._rest = b"".join(parts)
