"""Commands that tests run, and options that make them quick."""

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
