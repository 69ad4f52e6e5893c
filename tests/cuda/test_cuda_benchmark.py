"""The GPU benchmark's command with tiny cases, on a GPU or in the simulator."""

from pathlib import Path

import pytest
from click.testing import CliRunner

import fastmlp  # noqa: F401  before the checkout's copy could be found
from fastmlp.engines.cuda.support import is_simulated
from fastmlp.tools.bench import Case

# Warnings of other packages are none of ours.
pytestmark = [pytest.mark.usefixtures("gpu"), pytest.mark.filterwarnings("ignore")]
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def gpu_benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import gpu, gpu_peers

    cases = [Case("one", 3, 6, (2, 4, 2), 1), Case("two", 3, 3, (2, 3, 3), 1)]
    monkeypatch.setattr(gpu, "CASES", cases)
    monkeypatch.setattr(gpu, "REPEATS", 1)
    monkeypatch.setattr(gpu, "SECONDS", 0)
    monkeypatch.setattr(gpu, "N_NETWORKS", 2)
    monkeypatch.setattr(gpu, "PRODUCT_SIZE", 64)
    if not is_simulated():
        yield gpu
        return
    from scheduler import scheduled

    monkeypatch.setattr(gpu, "peers", lambda: ({"fastmlp": gpu_peers.FastMLP}, {"torch": "why"}))
    with scheduled(0):
        yield gpu


def test_command(gpu_benchmark, tmp_path):
    def run(*arguments):
        command = ["--folder", str(tmp_path), *arguments]
        return CliRunner().invoke(gpu_benchmark.main, command, catch_exceptions=False)

    result = run("--name", "x", "--no-tests", "--case", "two")
    assert result.exit_code == 0, result.output
    result = run("--name", "x", "--no-tests", "--case", "one", "--case", "many")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "gpu-x.md").read_text()
    assert text.index("| one | 3 | 2-4-2 |") < text.index("| two | 3 | 2-3-3 |")
    assert "- two: trained twice, fastmlp has the same bits" in text
    assert "2 networks of 2-4-1, 1 epochs of 6 rows" in text
    assert run("--case", "one").exit_code == 2
    assert run("--name", "x", "--case", "three").exit_code == 2
    assert run("--tests-only", "--no-tests").exit_code == 2


def test_tests_of_the_command(gpu_benchmark, tmp_path, monkeypatch):
    (tmp_path / "test_it.py").write_text("def test_one(): pass\ndef test_two(): assert False\n")
    monkeypatch.setattr(gpu_benchmark, "TESTS", tmp_path)
    options = ["--tests-only", "--name", "x", "--folder", str(tmp_path), "--", "-k"]
    result = CliRunner().invoke(gpu_benchmark.main, [*options, "one"])
    assert result.exit_code == 0, result.output
    assert "- tests -k one: 1 passed" in (tmp_path / "gpu-x.md").read_text()
    result = CliRunner().invoke(gpu_benchmark.main, [*options, "two"])
    assert result.exit_code == 1
    assert "- tests -k two: tests FAILED" in (tmp_path / "gpu-x.md").read_text()
