"""What runs before a commit and in the workflows is what ``.ci/run`` runs."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from test_architecture import ROOMS

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


@pytest.mark.parametrize("failing", ["", "0", "1"])
def test_both_passes_of_cuda_are_shown_and_either_fails(failing, tmp_path):
    """They run at once: each waits here until the other one has begun."""
    passes = re.search(r"^export work\n(?:.+\n)+", RUN, re.MULTILINE)[0]
    fake = tmp_path / "pytest"
    fake.write_text(
        'touch "$work/$NUMBA_ENABLE_CUDASIM"\n'
        'until [ -e "$work/0" ] && [ -e "$work/1" ]; do sleep 0.01; done\n'
        'echo "pass $NUMBA_ENABLE_CUDASIM"; [ "$NUMBA_ENABLE_CUDASIM" != "$failing" ]\n'
    )
    fake.chmod(0o755)
    path = os.pathsep.join((str(tmp_path), os.environ["PATH"]))
    env = {**os.environ, "PATH": path, "work": str(tmp_path), "failing": failing}
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", passes],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,  # one after the other they would wait for ever
    )
    assert (result.returncode == 0) == (failing == "")
    assert result.stdout.split("\n")[:4] == [
        "-- simulator=0", "pass 0", "-- simulator=1", "pass 1",
    ]  # fmt: skip


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


def test_a_readme_without_a_test_command_fails(tmp_path):
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "test-command").write_bytes((ROOT / ".ci" / "test-command").read_bytes())
    (tmp_path / "README.md").write_text("# A project\n")
    result = subprocess.run(
        ["bash", tmp_path / ".ci" / "test-command"], capture_output=True, text=True
    )
    assert result.returncode == 1 and "no test command" in result.stderr


def test_ci_builds_the_documentation_that_is_there():
    for path in re.findall(r"docs/[\w./]+\.py", RUN):
        assert (ROOT / path).is_file(), path
    assert "docs" in PROJECT["optional-dependencies"]


def test_contributing_names_files_that_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:benchmarks|tests|fastmlp|cli|\.ci|\.github)/[\w./-]*)`", text)
    assert len(named) > 10
    for path in named:
        assert (ROOT / path).exists(), path


def test_contributing_has_the_rooms_in_the_order_of_imports():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
    seen = {"exceptions", "schedules"}
    for row in rows:
        own = {name.removesuffix(".py") for name in re.findall(r"`([\w.]+)`", row)}
        for name in own:
            assert ROOMS[name] <= seen | own, name
        seen |= own
    assert seen == set(ROOMS)
