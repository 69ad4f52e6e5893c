"""Standard streams that the shell has closed, as ``2>&-`` does."""

import os
import sys


def open_closed_streams() -> None:
    """Connect the standard streams that are closed to nowhere.

    Otherwise the next file to be opened, such as that of a model, would become the standard output
    or the standard error, and get what is written there.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system gives it the lowest number that is free
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
