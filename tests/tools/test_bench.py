"""The quick benchmark and the warm-up: that they work and compare equals; times are not judged."""

import json

import pytest
from click.testing import CliRunner
from fastmlp_cli.main import main

import fastmlp
from fastmlp.tools import bench


@pytest.fixture
def tiny(monkeypatch):
    """One small case, measured without pauses."""
    monkeypatch.setattr(bench, "CASES", [bench.Case("tiny", 10, 45, (5, 4, 3), 2)])
    monkeypatch.setattr(bench, "QUIET", 0)
    monkeypatch.setattr(bench, "REPEATS", 1)


def test_case_counts_its_arithmetic():
    case = bench.Case("c", 10, 45, (5, 4, 3), 2)
    forward = 2 * 10 * (5 * 4 + 4 * 3)
    assert case.flop == forward + forward + 2 * 10 * 4 * 3
    assert case.n_steps == 10 and case.network == "5-4-3"
    X, y = case.data("float32")
    assert X.shape == (45, 5) and X.dtype == "float32" and set(y) == {0, 1, 2}


def test_a_case_with_one_output_has_two_classes():
    _, y = bench.Case("c", 10, 45, (5, 4, 1), 2).data("float32")
    assert set(y) == {0, 1}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_table(tiny, dtype):
    lines = []
    header, row = bench.training_table(dtype, report=lines.append)
    assert len(header) == len(row) and row[0] == "tiny"
    assert "fastmlp has loss" in lines[0] and "scikit-learn has loss" in lines[1]


def test_peers_that_do_other_work_are_refused(tiny):
    peers = bench.PEERS | {"cheat": lambda case, dtype: lambda: (1e-9, 0.5)}
    with pytest.raises(AssertionError, match=r"cheat has loss 0\.5"):
        bench.training_table("float32", peers, report=lambda line: None)


def test_commands(tiny):
    result = CliRunner().invoke(main, ["bench", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["cases"][0]["case"] == "tiny"
    result = CliRunner().invoke(main, ["bench"])
    assert "tiny" in result.stdout and "scikit-learn" in result.stdout
    assert CliRunner().invoke(main, ["bench", "--case", "none"]).exit_code == 2
    result = CliRunner().invoke(main, ["warmup"])
    assert result.exit_code == 0 and "[8/8] done" in result.stderr


def test_warm_up_reports_its_progress():
    calls = []
    fastmlp.warmup(lambda done, total, what: calls.append((done, total, what)))
    assert [done for done, _, _ in calls] == list(range(9)) and calls[-1] == (8, 8, "done")
    fastmlp.warmup()
