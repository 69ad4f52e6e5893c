"""The benchmark of the GPU backend, as far as it needs no GPU: its table, and its peers on the
CPU where torch and JAX are installed."""

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fastmlp  # before the checkout's copy could be found
from fastmlp.tools.bench import Case

pytestmark = pytest.mark.usefixtures("checkout")
CASE = Case("tiny", 4, 12, (3, 5, 2), 1)


@pytest.fixture
def report():
    from benchmarks import gpu_report

    return gpu_report


def entry(**others):
    """The entry of a case as the benchmark makes it."""
    times = {"fastmlp": 2.0, "torch eager": 100.0, "torch graph of a step": 20.0,
             "torch graph of an epoch": 16.0, "jax scan": 30.0}  # fmt: skip
    return {
        "about": "A GPU; fastmlp 1; 2026-01-01", "batch": 200, "network": "20-100-2",
        "flop": 1e6, "peers": list(times), "losses": dict.fromkeys(times, 0.7),
        "microseconds": {name: [t, 9 * t, t / 9] for name, t in times.items()},
        "failures": {}, "product": [50.0], "is_repeatable": True, "left_out": {}, **others,
    }  # fmt: skip


def test_table_names_the_faster_graph(report):
    header, _, row = report.table({"small": entry()})
    cells = dict(zip(header.split(" | "), row.split(" | "), strict=True))
    assert cells["fastmlp, us"] == "2.00" and cells["torch eager, us"] == "100.00"
    assert cells["x torch graph"] == "8.00 (an epoch)" and cells["x jax scan"] == "15.00"
    assert cells["TFLOP/s"] == "0.50"
    # A row without torch, beside one with it.
    alone = entry(microseconds={"fastmlp": [4.0]}, peers=["fastmlp"], product=[])
    header, _, _, row = report.table({"small": entry(), "deep": alone})
    assert header.count("|") == row.count("|") and row.count(" - ") == 8
    assert report.notes(entry())[0] == "the first epoch's losses of all peers agree to 0e+00"


def test_commands_add_to_one_table(report, tmp_path):
    def record():
        return report.Record(tmp_path, "x", ["small", "deep"])

    record().put("cases", "deep", entry())
    record().put("cases", "small", entry(about="A GPU; fastmlp 2; 2026-01-02", batch=7))
    record().put("tests", "-k wide", {"about": "A GPU", "summary": "9 passed", "exit_code": 0})
    text = (tmp_path / "gpu-x.md").read_text()
    assert text.index("| small | 7 |") < text.index("| deep | 200 |")
    assert "fastmlp 2; 2026-01-02 (small)." in text and "- tests -k wide: 9 passed" in text
    record().put("cases", "small", entry())
    text = (tmp_path / "gpu-x.md").read_text()
    assert "| small | 200 |" in text and text.count("| small |") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gpu-x.json", "gpu-x.md"]
    assert json.loads((tmp_path / "gpu-x.json").read_text())["cases"]["small"]["batch"] == 200


def test_an_interrupted_write_leaves_the_old_file(report, tmp_path, monkeypatch):
    path = tmp_path / "a.md"
    report.write(path, "old")
    monkeypatch.setattr(Path, "replace", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.write(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("others", "fault"),
    [({"losses": {"fastmlp": 0.7, "jax scan": 0.7001}}, "jax scan has ANOTHER LOSS"),
     ({"losses": {"fastmlp": 0.7, "jax scan": float("nan")}}, "jax scan has ANOTHER LOSS"),
     ({"is_repeatable": False}, "OTHER BITS"),
     ({"failures": {"fastmlp": "no memory"}, "losses": {"a": 1.0, "b": 1.0}}, "fastmlp FAILED"),
     ({"difference": 0.1}, "DIFFER by 1.0e-01"),
     ({"exit_code": 1}, "tests FAILED")],
)  # fmt: skip
def test_faults_are_said(report, others, fault):
    assert not report.faults(entry())
    (said,) = report.faults(entry(**others))
    assert fault in said and report.notes(entry(**others))[0] == said


def test_versions_of_a_plain_checkout(monkeypatch):
    from importlib.metadata import PackageNotFoundError

    from benchmarks import gpu

    def none(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(gpu, "version", none)
    assert gpu.versions(["fastmlp", "numpy"]) == (
        f"fastmlp {fastmlp.__version__}, numpy {np.__version__}"
    )


def test_a_run_is_long_enough(monkeypatch):
    from benchmarks import gpu

    monkeypatch.setattr(gpu, "timed", lambda peer, n_epochs: 0.01 * n_epochs)
    assert 50 <= gpu.epochs_of_a_run(None) <= 100


def test_a_peer_that_fails_leaves_the_others(report, monkeypatch):
    from benchmarks import gpu

    class Peer:
        def __init__(self, case):
            self.is_timed = False

        def restart(self):
            pass

        def run(self, n_epochs):
            return 0.5

        def bits(self):
            return b""

    class Broken(Peer):
        def run(self, n_epochs):
            raise RuntimeError("out of\nmemory")

    monkeypatch.setattr(gpu, "SECONDS", 0)
    monkeypatch.setattr(gpu, "free_memory", lambda: None)
    found = {"fastmlp": Peer, "torch eager": Broken, "jax scan": Peer}
    made = gpu.measure(CASE, found, None, lambda line: None)
    assert report.faults(made) == ["torch eager FAILED: RuntimeError: out of memory"]
    assert set(made["microseconds"]) == {"fastmlp", "jax scan"}
    assert len(made["microseconds"]["fastmlp"]) == gpu.REPEATS


def losses_of_the_cpu(n_epochs):
    """Of the CPU's engine on what the peers train."""
    from benchmarks.gpu_peers import LEARNING_RATE, initial_weights, rows
    from fastmlp.engines.cpu.engine import CpuEngine
    from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan
    from fastmlp.network.weights import flatten

    X, y, order = rows(CASE)
    plan = TrainingPlan(
        CASE.units, Activation.RELU, Loss.CROSS_ENTROPY, Optimizer.ADAM,
        batch_size=CASE.batch_size, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
    )  # fmt: skip
    theta = flatten(*initial_weights(CASE), float)
    with CpuEngine(plan, theta, X.astype(float), np.eye(2)[y]) as engine:
        return [engine.run_epoch(order, LEARNING_RATE) for _ in range(n_epochs)]


@pytest.fixture
def graphs(monkeypatch):
    """Graphs that record operations on the CPU, and repeat them on the same memory."""
    torch = pytest.importorskip("torch")
    from torch.utils._python_dispatch import TorchDispatchMode

    class Recorder(TorchDispatchMode):
        def __init__(self, graph, **kwargs):
            super().__init__()
            self.operations = graph.operations

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            self.operations.append((function, args, kwargs or {}, result))
            return result

    class Graph:
        def __init__(self):
            self.operations = []

        @torch.no_grad()
        def replay(self):
            for function, args, kwargs, result in self.operations:
                again = function(*args, **kwargs)
                if isinstance(result, torch.Tensor) and again.data_ptr() != result.data_ptr():
                    result.copy_(again)
                elif isinstance(result, tuple):
                    for old, new in zip(result, again, strict=True):
                        old.copy_(new)

    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Recorder)


@pytest.mark.parametrize("name", ["TorchEager", "TorchStepGraph", "TorchEpochGraph"])
def test_torch_peers_train_what_we_train(name, graphs, monkeypatch):
    from benchmarks import gpu_peers

    monkeypatch.setattr(gpu_peers.TorchEager, "device", "cpu")
    peer = getattr(gpu_peers, name)(CASE)
    expected = losses_of_the_cpu(3)
    for n_epochs in (1, 3, 1):
        peer.restart()
        assert peer.run(n_epochs) == pytest.approx(expected[n_epochs - 1], rel=1e-5)


def test_jax_peer_trains_what_we_train():
    pytest.importorskip("jax")
    from benchmarks.gpu_peers import JaxScan

    peer = JaxScan(CASE)
    expected = losses_of_the_cpu(3)
    for n_epochs in (1, 3, 1):
        peer.restart()
        assert peer.run(n_epochs) == pytest.approx(expected[n_epochs - 1], rel=1e-5)


def test_peers_without_a_gpu_are_left_out(monkeypatch):
    from benchmarks.gpu_peers import peers

    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    found, left_out = peers()
    assert list(found) == ["fastmlp"] and left_out["torch"] == "torch.cuda.is_available() is False"
