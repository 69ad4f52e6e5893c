"""Commands work where the shell has closed standard streams."""

import os
import subprocess
import sys

import pytest

CODE = """
from fastmlp_cli.main import main

@main.command("probe")
def probe():
    with open("file", "wb") as file:
        assert file.fileno() > 2
        file.write(b"whole")

main(["probe"])
"""


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_new_file_does_not_take_the_place_of_a_closed_stream(closed, tmp_path):
    result = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {closed}', sys.executable, CODE], cwd=tmp_path
    )
    assert result.returncode == 0
    assert (tmp_path / "file").read_bytes() == b"whole"
