"""The benchmarks of first fits and of many networks: what they run, and that all do the same."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from fastmlp.tools.bench import Case

TINY = Case("tiny", 10, 45, (5, 4, 3), 1)


@pytest.fixture
def many(checkout):
    from benchmarks import many

    return many


@pytest.fixture
def start(checkout):
    from benchmarks import start

    return start


@pytest.fixture
def apart(checkout):
    from benchmarks.apart import Apart

    return Apart


@pytest.fixture
def here(many, monkeypatch):
    """Small networks that are trained in this process, without pauses."""
    monkeypatch.setattr(many, "CASE", TINY)
    monkeypatch.setattr(many, "QUIET", 0)
    monkeypatch.setattr(many, "REPEATS", 1)
    monkeypatch.setattr(many, "SIZES", [(3, 2, True), (5, 1, False)])
    # Processes of joblib would not see the small case, and take seconds to start.
    monkeypatch.setattr("joblib.Parallel", lambda n_jobs: lambda jobs: [f(*a) for f, a, _ in jobs])

    def in_this_process(function, *arguments):
        run = function(*arguments)
        return nullcontext(SimpleNamespace(run=lambda: json.loads(json.dumps(run()))))

    monkeypatch.setattr(many, "Apart", in_this_process)


def test_a_row_for_each_number_of_networks(here, many):
    lines = []
    header, *rows = many.table(lines.append)
    assert [len(row) for row in rows] == [len(header)] * 2
    assert [row[:2] for row in rows] == [["3", "2"], ["5", "1"]]
    assert any("scikit-learn, joblib has loss" in line for line in lines)
    joblib = header.index("scikit-learn, joblib")
    assert float(rows[0][joblib]) > 0 and rows[1][joblib] == ""


def test_peers_that_do_other_work_are_refused(here, many, monkeypatch):
    def cheat(n_models, n_epochs):
        return lambda: {"seconds": 1e-9, "cpu": 1e-9, "losses": [0.5] * n_models}

    monkeypatch.setattr(many, "_peers", lambda n_models, is_small: {"cheat": cheat})
    with pytest.raises(AssertionError, match="cheat"):
        many.table(print)


def test_a_run_apart_is_repeated_by_one_process(many, apart):
    with apart(many.one_network, 1) as process:
        first, second = process.run(), process.run()
    assert first["losses"] == second["losses"] and first["seconds"] > 0


def test_a_process_that_has_ended_is_told(many, apart):
    with apart(many.one_network, "none") as process, pytest.raises(RuntimeError, match="has ended"):
        process.run()


def test_what_a_fresh_process_says(start):
    (seconds, cpu, megabytes), said = start.run("import numba\nloss = 2.5", {})
    assert seconds > 0 and cpu > 0 and megabytes > 1
    # It is the memory of the process alone: what starts it has more.
    assert start.run("", {})[0][2] < megabytes
    assert said == {"numba": True, "loss": 2.5}
    with pytest.raises(RuntimeError, match="ended with 3"):
        start.run("raise SystemExit(3)", {})


def test_first_fits_have_the_same_loss(start, monkeypatch):
    losses = {"a": {"loss": 0.5}, "b": {"loss": None}, "c": {"loss": 0.5000001}}
    start._check_losses(losses)
    with pytest.raises(AssertionError, match="d"):
        start._check_losses(losses | {"d": {"loss": 0.51}})
    said = {"numba": False, "loss": 0.5}
    seen = []

    def run(code, environment):
        seen.append((code, environment["HOME"]))
        return (1.0, 2.0, 3.0), said

    monkeypatch.setattr(start, "run", run)
    header, *rows, more = start.table(print)
    assert ["fastmlp: a later process", "1.00", "2.00", "3", "no"] in rows
    assert len(header) == len(more) and more[1] == "0.00"
    # Nothing is kept for the first fits; later processes have what an earlier one has kept.
    fits = [home for code, home in seen if "from fastmlp import" in code and "fit" in code]
    kept, *homes = fits[::2][0], *fits[2:]
    assert homes[1::2] == [kept] * (len(homes) // 2)
    assert len({kept, *homes[::2]}) == 1 + len(homes) // 2
