"""Commands that tests run, and options that make them quick."""

import contextlib
import os
import pty
import subprocess
import sys
import termios

from click.testing import CliRunner
from fastmlp_cli.main import main

QUICK = ("--hidden", "8", "--epochs", "20")


def run(*args, code=0):
    """Result of a command; its exit code must be the given one."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


def fails(*args):
    """The one line that a failing command prints; nothing goes to stdout."""
    result = run(*args, code=2)
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("target: ")]
    assert len(lines) == 1 and len(lines[0]) < 600, result.stderr
    return lines[0]


def on_terminal(*args, number=None, when="loss="):
    """Run a command whose standard error is a terminal.

    The signal `number`, if there is one, is sent when `when` is shown, which is a loss. Returns the
    exit code, the standard output, and what the terminal has shown.
    """
    terminal, end = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 100))
    command = [sys.executable, "-m", "fastmlp_cli", *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=end, text=True)
    os.close(end)
    shown = ""
    with contextlib.suppress(OSError):  # how a pseudo-terminal says that there is no more
        while part := os.read(terminal, 10_000):
            if number is not None and when not in shown and when in shown + part.decode():
                process.send_signal(number)
            shown += part.decode()
    os.close(terminal)
    out = process.communicate()[0]
    return process.returncode, out, shown
