"""README's commands and programs work as printed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def copy(tmp_path):
    """A folder with the files that README names."""
    shutil.copytree(ROOT / "tests" / "data", tmp_path / "tests" / "data")
    return tmp_path


def test_there_are_blocks_to_run():
    assert len(blocks("bash")) >= 3 and len(blocks("python")) >= 2


@pytest.mark.parametrize("block", blocks("bash"))
def test_commands(block, copy):
    # Installation, and the tests themselves, are what runs this.
    lines = [re.sub(r"^python -m pip install .*?( && |$)", "", line) for line in block.split("\n")]
    script = "\n".join(line for line in lines if line and "pytest" not in line)
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=copy, env=env, check=True)


@pytest.mark.parametrize("block", blocks("python"))
def test_programs(block, copy):
    subprocess.run([sys.executable, "-c", block], cwd=copy, check=True)


def test_architecture_names_every_module():
    section = TEXT.split("## Architecture")[1].split("\n## ")[0]
    for path in sorted((ROOT / "fastmlp").rglob("*.py")):
        folder = path.parent.relative_to(ROOT / "fastmlp").as_posix()
        if path.name != "__init__.py" and folder != "formulas":
            assert path.name in section, path


def test_speed_table_is_the_measured_one():
    results = (ROOT / "benchmarks" / "results" / "cpu-training.md").read_text()
    table = [line for line in results.splitlines() if line.startswith("|")]
    assert len(table) == 8 and "\n".join(table) in TEXT


def test_files_that_are_named_exist():
    named = re.findall(r"`((?:benchmarks|tests|fastmlp|cli)/[\w./-]+)`", TEXT)
    assert len(named) > 10
    for path in named:
        assert (ROOT / path).exists(), path
