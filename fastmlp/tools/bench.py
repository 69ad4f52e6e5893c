"""How long a training step takes, beside scikit-learn: the quick part of the benchmarks.

The folder ``benchmarks`` of the repository adds other peers to the same cases.
"""

import os
import platform
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    # Trains for a while; the seconds it took, and the last loss.
    Run = Callable[[], tuple[float, float]]

REPEATS = 5
# Seconds before each timing: thread pools of other libraries spin for a while after their work.
QUIET = 0.5
# Largest relative difference of the last epoch's loss between peers.
TOLERANCE = {"float32": 1e-2, "float64": 1e-3}


@dataclass(frozen=True)
class Case:
    """A network trained with Adam on standard normal inputs and labels of a linear teacher.

    Attributes
    ----------
    name : str
    batch_size, n_rows : int
    units : tuple of int
        From the features to the classes; two classes have one output.
    n_epochs : int
        Epochs of a timed run.
    """

    name: str
    batch_size: int
    n_rows: int
    units: tuple[int, ...]
    n_epochs: int

    @property
    def n_steps(self) -> int:
        """Steps of a timed run."""
        return self.n_epochs * -(-self.n_rows // self.batch_size)

    @property
    def network(self) -> str:
        """Units joined by dashes."""
        return "-".join(map(str, self.units))

    @property
    def flop(self) -> int:
        """Floating-point operations of a step, two for each multiply-add.

        They are the forward pass, the weights' gradients, and the deltas of every layer but
        the first.
        """
        sizes = [a * b for a, b in pairwise(self.units)]
        return 2 * self.batch_size * (2 * sum(sizes) + sum(sizes[1:]))

    def data(self, dtype: str) -> "tuple[NDArray[np.floating[Any]], NDArray[np.int_]]":
        """Make X and integer labels y, in which every class occurs."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(self.n_rows, self.units[0])).astype(dtype)
        scores = X @ rng.normal(size=(self.units[0], self.units[-1]))
        n_classes = max(self.units[-1], 2)
        y = scores.argmax(axis=1) if self.units[-1] > 1 else (scores[:, 0] > 0).astype(int)
        y[:n_classes] = np.arange(n_classes)
        return X, y


CASES = [
    Case("iris", 150, 150, (4, 100, 3), 1000),
    Case("cancer", 128, 51200, (30, 64, 64, 1), 3),
    Case("letter", 200, 16000, (16, 100, 26), 10),
    Case("tabular", 64, 12800, (54, 128, 128, 128, 7), 4),
    Case("phonemes", 100, 10000, (200, 300, 40), 6),
    Case("mnist50", 200, 10000, (784, 50, 10), 6),
    Case("mnist256", 128, 10240, (784, 256, 128, 10), 4),
    Case("wide", 256, 2560, (784, 1024, 1024, 10), 3),
]


def estimator_run(cls: type[Any], case: Case, dtype: str, **more_options: Any) -> "Run":
    """Make a function that trains an estimator of either library; see :func:`measure`."""
    X, y = case.data(dtype)
    options = {
        **more_options,
        "hidden_layer_sizes": case.units[1:-1],
        "batch_size": case.batch_size,
    }
    options |= {"alpha": 0.0, "shuffle": False, "random_state": 0, "tol": 0.0}
    options["n_iter_no_change"] = 10**6

    def fit(n_epochs: int) -> tuple[float, float]:
        model = cls(max_iter=n_epochs, **options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            model.fit(X, y)
            return time.perf_counter() - start, model.loss_

    def run() -> tuple[float, float]:
        # What happens once a fit (validation, initial weights) is subtracted.
        once, _ = fit(1)
        more, loss = fit(case.n_epochs + 1)
        return more - once, loss

    return run


def fastmlp_run(case: Case, dtype: str) -> "Run":
    """Make a function that trains our classifier."""
    from ..estimators.classifier import MLPClassifier

    return estimator_run(MLPClassifier, case, dtype)


def sklearn_run(case: Case, dtype: str) -> "Run":
    """Make a function that trains scikit-learn's classifier."""
    from sklearn.neural_network import MLPClassifier

    return estimator_run(MLPClassifier, case, dtype)


PEERS: "dict[str, Callable[[Case, str], Run]]" = {
    "fastmlp": fastmlp_run,
    "scikit-learn": sklearn_run,
}


def product_rate(dtype: str, size: int = 2048) -> float:
    """Measure GFLOP/s of numpy's product of two square matrices, the median of some runs."""
    a = np.random.default_rng(0).normal(size=(size, size)).astype(dtype)
    out = a @ a
    seconds = []
    for _ in range(REPEATS + 2):
        start = time.perf_counter()
        np.matmul(a, a, out=out)
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / float(np.median(seconds)) / 1e9


def measure(
    case: Case,
    dtype: str,
    peers: "Mapping[str, Callable[[Case, str], Run]]",
    report: Callable[[str], object],
) -> tuple[dict[str, float], float]:
    """Measure microseconds a step, the peers in turn, after all reached the same loss.

    Parameters
    ----------
    case : Case
    dtype : {'float32', 'float64'}
    peers : dict of str to callable
        ``peers[name](case, dtype)`` returns a function that trains ``case.n_epochs`` epochs
        from scikit-learn's initial weights for ``random_state=0``, unshuffled and without
        penalty, and returns the seconds taken and the loss of the last epoch.
    report : callable
        Called with a line of text now and then.

    Returns
    -------
    medians : dict of str to float
        Microseconds.
    rate : float
        GFLOP/s of numpy's matrix product in the same run.

    Raises
    ------
    AssertionError
        When a peer's loss differs from that of the first.
    """
    runs: dict[str, Run] = {}
    for name, peer in peers.items():
        start = time.perf_counter()
        runs[name] = peer(case, dtype)
        _, loss = runs[name]()
        seconds = time.perf_counter() - start
        report(f"{case.name} {dtype}: {name} has loss {loss:.6f}, first run {seconds:.1f} s")
        if len(runs) == 1:
            expected = loss
        elif abs(loss - expected) > TOLERANCE[dtype] * max(abs(expected), 0.01):
            raise AssertionError(f"{case.name}: {name} has loss {loss}, not {expected}")
    times: dict[str, list[float]] = {name: [] for name in runs}
    rates = []
    for _ in range(REPEATS):
        for name, run in runs.items():
            time.sleep(QUIET)
            times[name].append(run()[0] / case.n_steps * 1e6)
        time.sleep(QUIET)
        rates.append(product_rate(dtype))
    return {name: float(np.median(t)) for name, t in times.items()}, float(np.median(rates))


def training_table(
    dtype: str,
    peers: "Mapping[str, Callable[[Case, str], Run]]" = PEERS,
    names: Sequence[str] | None = None,
    report: Callable[[str], object] = print,
) -> list[list[str]]:
    """Measure all cases, and return the header and the rows of their table.

    Parameters
    ----------
    dtype : {'float32', 'float64'}
    peers : dict
        As for :func:`measure`; the first is ours.
    names : sequence of str or None
        Cases; None for all.
    report : callable

    Returns
    -------
    list of list of str
    """
    rows = [training_header(list(peers))]
    for case in CASES:
        if names and case.name not in names:
            continue
        rows.append(training_row(case, *measure(case, dtype, peers, report)))
    return rows


def training_header(peers: Sequence[str]) -> list[str]:
    """Write the header of a table of training steps.

    Parameters
    ----------
    peers : sequence of str
        Names of the peers, ours and scikit-learn's among them.

    Returns
    -------
    list of str
    """
    frameworks = [p for p in peers if p not in PEERS]
    header = ["case", "batch", "network", *[f"{p}, us" for p in peers], "x scikit-learn"]
    header += ["x best framework"] if frameworks else []
    return [*header, "GFLOP/s", "numpy product", "share"]


def training_row(case: Case, medians: Mapping[str, float], rate: float) -> list[str]:
    """Write the row of a case.

    Parameters
    ----------
    case : Case
    medians, rate
        What :func:`measure` returns.

    Returns
    -------
    list of str
    """
    ours = medians["fastmlp"]
    frameworks = [medians[p] for p in medians if p not in PEERS]
    row = [case.name, str(case.batch_size), case.network]
    row += [f"{us:.0f}" for us in medians.values()]
    row.append(f"{medians['scikit-learn'] / ours:.1f}")
    if frameworks:
        row.append(f"{min(frameworks) / ours:.2f}")
    gflops = case.flop / ours / 1e3
    return [*row, f"{gflops:.0f}", f"{rate:.0f}", f"{gflops / rate:.0%}"]


def hardware() -> list[str]:
    """Write a line about the processor, and one about the versions."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0].split(":")[1].strip() if names else model
    from ..engines.cpu.vector_unit import HOST, cpu_name

    packages = ["fastmlp", "numpy", "scikit-learn", "numba"]
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return [
        f"{model} ({cpu_name()}, {8 * HOST.n_bytes}-bit vectors), {os.cpu_count()} cores, "
        f"{platform.system()}",
        f"Python {platform.python_version()}, {versions}",
    ]
