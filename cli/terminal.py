"""Printing to standard output and standard error, whatever they are and whatever a text holds.

All that the command line prints goes through here. Names of columns, classes, files and models come
from others: a control character among them would move the cursor, set the title or write the
clipboard of a terminal.
"""

import os
import re
import sys
from typing import TextIO

import click

GOOD, DOUBTFUL, BAD = "green", "yellow", "red"

# Characters that count as printable but leave no trace, such as fillers and selectors of variants.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\U000e0100-\U000e01ef]"
)


def visible(text: object) -> str:
    r"""Write characters that a terminal obeys or hides as escapes, such as ``\x1b``.

    These are control characters, line breaks and tabs, marks of writing direction and other
    invisible characters, spaces other than the common one, and halves of surrogate pairs: all
    that Python's ``repr`` escapes, and some that it takes for letters.

    Parameters
    ----------
    text : object
        Its text is shown.

    Returns
    -------
    str
        Without line breaks.
    """
    text = str(text)
    if text.isprintable() and not _INVISIBLE.search(text):
        return text
    return "".join(
        letter
        if letter.isprintable() and not _INVISIBLE.match(letter)
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def one_line(text: object, limit: int = 500) -> str:
    """Write a text in one line, and cut it when it is very long."""
    line = visible(re.sub(r"\s*[\r\n]\s*", " ", str(text).strip(" \r\n")))
    return line if len(line) <= limit else line[:limit] + " ..."


def echo(text: object = "", *, err: bool = False, mark: str | None = None) -> None:
    """Print lines for people.

    Parameters
    ----------
    text : object
        Its line breaks stay; all else is made visible.
    err : bool, default=False
        Whether to print to standard error instead of standard output.
    mark : {'green', 'yellow', 'red'} or None, default=None
        The colour of the beginning of the text, up to its first colon or its end, where the
        stream shows colours.
    """
    shown = "\n".join(map(visible, str(text).split("\n")))
    if mark is not None and has_colours(sys.stderr if err else sys.stdout):
        begin, colon, rest = shown.partition(":")
        shown = click.style(begin + colon, fg=mark, bold=True) + rest
    _write(shown + "\n", err)


def has_colours(stream: TextIO | None) -> bool:
    """Tell whether a stream shows colours: a terminal does, unless the environment says otherwise.

    ``NO_COLOR`` switches them off, and ``FORCE_COLOR`` on, wherever the output goes; the first
    one wins.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if forced := os.environ.get("FORCE_COLOR"):
        return forced != "0"
    # A Windows console of old prints the codes.
    is_able = os.name != "nt" or "WT_SESSION" in os.environ
    return is_terminal(stream) and is_able and os.environ.get("TERM") != "dumb"


def echo_data(text: str) -> bool:
    """Print data for programs to standard output, unchanged.

    Parameters
    ----------
    text : str
        With its last line break.

    Returns
    -------
    bool
        Whether the output can hold every character; others are written as escapes.
    """
    return _write(text, err=False)


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether somebody looks at standard output or standard error."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):  # it has been closed
        return False


def end_output() -> None:
    """Write what the standard streams still hold, so that Python need not when it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            _discard(stream)


def _write(text: str, err: bool) -> bool:
    """Write a text, and return whether the encoding of the stream has all its characters.

    Raises
    ------
    OSError
        When standard output cannot be written. What standard error cannot take is lost, since
        there is nobody left to be told.
    """
    stream = sys.stderr if err else sys.stdout
    if stream is None:
        return True
    encoding = getattr(stream, "encoding", None) or "utf-8"
    known = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(known)
        stream.flush()
    except (OSError, ValueError) as error:
        _discard(stream)
        if err:
            return True
        if isinstance(error, BrokenPipeError):
            raise
        raise OSError(f"standard output cannot be written: {error}") from None
    return known == text


def _discard(stream: TextIO) -> None:
    """Send what a stream still holds to nowhere: Python writes it again when it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):  # a stream without a file, as tests have it
        pass


def show_error(error: click.ClickException, *, is_short: bool = False) -> None:
    """Print an error of click on standard error, its message as one line.

    Parameters
    ----------
    error : click.ClickException
    is_short : bool, default=False
        Whether to leave out the usage of a command that was typed wrongly.
    """
    message = one_line(error.format_message())
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None or is_short:
        echo(f"fastmlp: {message}", err=True, mark=BAD)
        return
    echo(context.get_usage(), err=True)
    echo(f"Try '{context.command_path} --help' for help.\n", err=True)
    echo(f"Error: {message}", err=True, mark=BAD)
