"""The GPU backend on a machine with an NVIDIA GPU: ``python -m benchmarks.gpu --name NAME``.

First its tests run on the device; then each network is trained by all peers from the same
weights on the same batches, their losses after an epoch are compared, and the medians of five
runs in turn are written to ``results/gpu-NAME.md``, with the rate of torch's float32 product of
two square matrices; at last many small networks are trained at once. The file is written after
every case, and commands that measure some of them (``--case``) add to it. Peers that do not find
the GPU are left out, and said to be.
"""

import gc
import importlib.util
import os
import subprocess
import sys
import time
import warnings
from datetime import date
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from math import ceil
from pathlib import Path

import click
import numpy as np

from fastmlp.tools.bench import REPEATS, Case

from .gpu_peers import peers
from .gpu_report import Record, faults, notes, table

ROOT = Path(__file__).parent.parent
TESTS = ROOT / "tests" / "cuda"
CASES = [
    Case("small", 200, 20000, (20, 100, 2), 5),
    Case("mnist100", 200, 20000, (784, 100, 10), 5),
    Case("deep", 1024, 20480, (784, 512, 512, 10), 5),
    Case("wide", 4096, 20480, (784, 2048, 2048, 10), 3),
]
MANY = "many"
# Seconds that a timed run takes at least.
SECONDS = 0.5
N_NETWORKS = 100
PRODUCT_SIZE = 8192
_TEST_PROCESSES = 8  # each has a context on the GPU


def versions(packages):
    """Packages with their versions; a plain checkout of ours counts as installed."""
    found = []
    for package in packages:
        try:
            number = version(package)
        except PackageNotFoundError:
            number = getattr(import_module(package.replace("-", "_")), "__version__", "unknown")
        found.append(f"{package} {number}")
    return ", ".join(found)


def one_line(error):
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return words if len(words) <= 300 else words[:297] + "..."


def timed(peer, n_epochs):
    """Seconds for some epochs from the initial weights."""
    peer.restart()
    start = time.perf_counter()
    peer.run(n_epochs)
    return time.perf_counter() - start


def epochs_of_a_run(peer):
    """So many that a run takes ``SECONDS``; found by runs that are not counted."""
    n_epochs = 1
    while (seconds := timed(peer, n_epochs)) < SECONDS:
        needed = ceil(1.1 * n_epochs * SECONDS / seconds)
        n_epochs = max(2 * n_epochs, min(10 * n_epochs, needed))
    return n_epochs


class Product:
    """torch's float32 product of two square matrices."""

    def __init__(self):
        import torch

        torch.set_float32_matmul_precision("highest")  # no TF32
        self._torch = torch
        self._a = torch.randn(PRODUCT_SIZE, PRODUCT_SIZE, device="cuda")
        self._out = torch.empty_like(self._a)
        self.rate()

    def rate(self, n_products=5):
        """TFLOP/s."""
        self._torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(n_products):
            self._torch.mm(self._a, self._a, out=self._out)
        self._torch.cuda.synchronize()
        return 2 * PRODUCT_SIZE**3 * n_products / (time.perf_counter() - start) / 1e12


def measure(case, found, product, report):
    """What the report keeps of a case: losses after an epoch, and times of runs in turn.

    A peer that fails is left out from there on, with what it raised.
    """
    entry = {
        "batch": case.batch_size, "network": case.network, "flop": case.flop,
        "peers": list(found), "losses": {}, "microseconds": {}, "epochs": {}, "failures": {},
        "product": [],
    }  # fmt: skip
    trained = {}

    def attempt(name, work):
        try:
            work()
        except Exception as error:
            entry["failures"][name] = one_line(error)
            report(f"{case.name}: {name} failed: {one_line(error)}")
            entry["microseconds"].pop(name, None)
            trained.pop(name, None)

    def prepare(name):
        start = time.perf_counter()
        peer = trained[name] = found[name](case)
        peer.restart()
        loss = entry["losses"][name] = peer.run(1)
        seconds = time.perf_counter() - start
        report(f"{case.name}: {name} has loss {loss:.7f}, ready after {seconds:.1f} s")
        if name == "fastmlp":
            entry["is_repeatable"] = peer.bits() == peer.bits()
        entry["epochs"][name] = epochs_of_a_run(peer)
        entry["microseconds"][name] = []

    def run(name):
        n_steps = entry["epochs"][name] * (case.n_rows // case.batch_size)
        seconds = timed(trained[name], entry["epochs"][name])
        entry["microseconds"][name].append(seconds / n_steps * 1e6)

    for name in found:
        attempt(name, lambda name=name: prepare(name))
    for _ in range(REPEATS):
        for name in list(trained):
            attempt(name, lambda name=name: run(name))
        if product:
            attempt("torch's product", lambda: entry["product"].append(product.rate()))
    trained.clear()
    free_memory()
    return entry


def free_memory():
    """Give back what a case had on the device, before the next one captures a graph."""
    from fastmlp.engines.cuda.network import give_memory_back

    gc.collect()
    give_memory_back()


def many_networks(case):
    """Small networks one after the other, and together, as the report keeps it."""
    from fastmlp import MLPClassifier, fit_many

    X, y = case.data("float32")

    def networks():
        return [
            MLPClassifier(
                case.units[1:-1], batch_size=case.batch_size, max_iter=case.n_epochs, tol=0.0,
                n_iter_no_change=case.n_epochs + 1, random_state=seed, device="cuda",
            )
            for seed in range(N_NETWORKS)
        ]  # fmt: skip

    def one_by_one(models):
        for model in models:
            model.fit(X, y)

    ways = {
        "one after the other": one_by_one,
        "with `fit_many`": lambda models: fit_many(models, X, y),
    }
    seconds = {name: [] for name in ways}
    weights, losses = [], []
    for repeat in range(REPEATS + 1):
        for name, fit in ways.items():
            models = networks()
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that training has not converged
                fit(models)
            if repeat:
                seconds[name].append(time.perf_counter() - start)
            else:  # which compiles
                weights.append(np.stack([np.ravel(model.coefs_[0]) for model in models]))
                losses.append(np.array([model.loss_curve_[0] for model in models]))
    n_outputs = models[0].n_outputs_  # one for two classes
    network = "-".join(map(str, (*case.units[:-1], n_outputs)))
    return {
        "what": f"{N_NETWORKS} networks of {network}, {case.n_epochs} epochs of {case.n_rows} rows",
        "seconds": seconds,
        "is_bitwise_equal": bool(np.array_equal(*weights)),
        "largest": float(np.abs(np.subtract(*weights)).max()),
        "difference": float(np.abs(np.divide(*losses) - 1).max()),
    }


def run_tests(options):
    """The backend's tests on this machine, in several processes if pytest can."""
    command = [sys.executable, "-m", "pytest", "-q", str(TESTS)]
    if importlib.util.find_spec("xdist"):
        command += ["-n", str(min(_TEST_PROCESSES, os.cpu_count()))]
    last = ""
    environment = os.environ | {"FASTMLP_REQUIRE_GPU": "1"}
    with subprocess.Popen(
        [*command, *options], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            click.echo(line, nl=False, err=True)
            last = line.strip(" =\n") or last
    return {"summary": last, "exit_code": process.returncode}


@click.command()
@click.option("--name", help="Of the machine: end of the result files' names.")
@click.option("--case", "names", multiple=True, help="Measure only this; may be given repeatedly.")
@click.option("--no-tests", is_flag=True, help="Measure without running the tests first.")
@click.option("--tests-only", is_flag=True, help="Run the tests and measure nothing.")
@click.option(
    "--folder", default=ROOT / "benchmarks" / "results", type=click.Path(path_type=Path),
    help="Of the result files; those of this name that are there are added to.",
)  # fmt: skip
@click.argument("pytest_options", nargs=-1, type=click.UNPROCESSED)
def main(name, names, no_tests, tests_only, folder, pytest_options):
    """Test and measure the GPU backend on this machine.

    What follows -- are options for pytest.
    """
    from fastmlp.engines.cuda.support import describe, why_not

    known = [*(case.name for case in CASES), MANY]
    for unknown in set(names) - set(known):
        raise click.BadParameter(f"{unknown!r} is none of {', '.join(known)}", param_hint="--case")
    if no_tests and tests_only:
        raise click.UsageError("--no-tests and --tests-only leave nothing to do")
    if not name and not tests_only:
        raise click.UsageError("measuring needs a --name for the result files")
    if why_not():
        raise click.ClickException(f"nothing to measure: {why_not()}")
    found, left_out = ({}, {}) if tests_only else peers()
    packages = ["fastmlp", "numba", "numba-cuda", "numpy"]
    packages += [package for package in ("torch", "jax") if importlib.util.find_spec(package)]
    about = {"about": f"{describe()}; {versions(packages)}; {date.today()}"}
    record = Record(folder, name, known) if name else None
    went_wrong = []

    def put(part, key, entry):
        went_wrong.extend(f"{key}: {fault}" for fault in faults(entry))
        if record:
            record.put(part, key, about | entry)

    if not no_tests:
        put("tests", " ".join(pytest_options), run_tests(pytest_options))
    if not tests_only:
        measure_all(names or known, found, left_out, put)
        click.echo(record.text())
    if went_wrong:
        raise click.ClickException("; ".join(went_wrong))


def measure_all(names, found, left_out, put):
    """Every case of these names; what there is of each is kept at once."""

    def report(line):
        click.echo(line, err=True)

    for package, why in left_out.items():
        report(f"{package} is left out: {why}")
    product = None
    if "torch" not in left_out:
        try:
            product = Product()
        except Exception as error:
            report(f"torch's product failed: {one_line(error)}")
    for case in CASES:
        if case.name in names:
            entry = measure(case, found, product, report) | {"left_out": left_out}
            put("cases", case.name, entry)
            report("\n".join([*table({case.name: entry}), *notes(entry)]))
    if MANY in names:
        try:
            entry = many_networks(CASES[0])
        except Exception as error:
            entry = {"failures": {"fastmlp": one_line(error)}}
        put("many", MANY, entry)
        report("\n".join(notes(entry)))


if __name__ == "__main__":
    main()
