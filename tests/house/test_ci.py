"""What runs before a commit and in the workflows is what ``.ci/run`` runs."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
RUN = (ROOT / ".ci" / "run").read_text()
HOOKS = re.findall(r"entry: (.+)", (ROOT / ".pre-commit-config.yaml").read_text())
TESTS = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("entry", HOOKS)
def test_hooks_are_part_of_ci(entry):
    assert any(line.startswith(entry) for line in RUN.splitlines()), entry


@pytest.mark.parametrize("entry", HOOKS)
def test_tools_of_hooks_are_in_the_lint_extra(entry):
    tools = {re.split("[><=]", tool)[0] for tool in PROJECT["optional-dependencies"]["lint"]}
    assert entry.split()[0] in tools


def test_the_test_command_is_readmes():
    printed = subprocess.run(
        ["bash", ROOT / ".ci" / "test-command"], capture_output=True, text=True, check=True
    ).stdout
    (block,) = re.findall(
        r"<!-- test command -->\n```bash\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    assert printed == block and "pytest" in block
    assert ".ci/test-command" in RUN and ".ci/test-command" in TESTS


def test_workflows_begin_with_the_oldest_python():
    versions = re.findall(r"\"(3\.\d+)\"", TESTS.split("matrix:")[1].split("include:")[0])
    assert PROJECT["requires-python"] == f">={versions[0]}"
    assert len(versions) >= 4


def test_actions_are_pinned_to_commits():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        used = re.findall(r"uses: (.+)", path.read_text())
        assert used
        for action in used:
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", action), action
