"""The GPU backend on a machine with an NVIDIA GPU: ``python -m benchmarks.gpu --name NAME``.

First its tests run on the device; then each network is trained by all peers from the same
weights on the same batches, their losses are compared, and the medians of at least five runs
in turn are written to ``results/gpu-NAME.md``, with the rate of torch's float32 product of
two square matrices and the time for many small networks at once. Peers that are not installed
are left out.
"""

import importlib.util
import subprocess
import sys
import time
import warnings
from datetime import date
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np

from fastmlp.bench import REPEATS, TOLERANCE, Case, estimator_run

from .peers import LEARNING_RATE, jax_scan, set_initial_weights, torch_network

ROOT = Path(__file__).parent.parent
CASES = [
    Case("small", 200, 20000, (20, 100, 2), 5),
    Case("mnist100", 200, 20000, (784, 100, 10), 5),
    Case("deep", 1024, 20480, (784, 512, 512, 10), 5),
    Case("wide", 4096, 20480, (784, 2048, 2048, 10), 3),
]


def fastmlp_cuda(case, dtype):
    """Our classifier on the GPU."""
    from fastmlp import MLPClassifier

    return estimator_run(MLPClassifier, case, dtype, device="cuda")


def _torch(case, dtype, captured):
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    X, y = (torch.from_numpy(array).cuda() for array in case.data(dtype))
    network = torch_network(case, dtype).cuda()
    optimizer = torch.optim.Adam(
        network.parameters(), LEARNING_RATE, fused=True, capturable=captured
    )
    loss_function = torch.nn.CrossEntropyLoss()
    X_batch, y_batch = X[: case.batch_size].clone(), y[: case.batch_size].clone()

    def reset():
        set_initial_weights(network, case)
        with torch.no_grad():
            for state in optimizer.state.values():
                for value in state.values():
                    value.zero_()

    def step():
        optimizer.zero_grad(set_to_none=not captured)
        loss = loss_function(network(X_batch), y_batch)
        loss.backward()
        optimizer.step()
        return loss.detach()

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    if captured:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            graph_loss = step()

    def epoch():
        total = torch.zeros((), device="cuda")
        for start in range(0, case.n_rows, case.batch_size):
            X_batch.copy_(X[start : start + case.batch_size])
            y_batch.copy_(y[start : start + case.batch_size])
            if captured:
                graph.replay()
                total += graph_loss
            else:
                total += step()
        return total

    def run():
        reset()
        epoch()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(case.n_epochs):
            total = epoch()
        loss = float(total) * case.batch_size / case.n_rows
        return time.perf_counter() - start, loss

    return run


def torch_eager(case, dtype):
    return _torch(case, dtype, captured=False)


def torch_graph(case, dtype):
    return _torch(case, dtype, captured=True)


def peers():
    """Peers by name, ours first."""
    found = {"fastmlp": fastmlp_cuda}
    if importlib.util.find_spec("torch"):
        found |= {"torch eager": torch_eager, "torch CUDA graph": torch_graph}
    if importlib.util.find_spec("jax"):
        import jax

        # The others compute in float32, too, not in TF32.
        jax.config.update("jax_default_matmul_precision", "highest")
        found["jax scan"] = jax_scan
    return found


def product_rate(size=8192):
    """TFLOP/s of torch's float32 product of two square matrices on the device; 0 without torch."""
    if not importlib.util.find_spec("torch"):
        return 0.0
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    a = torch.randn(size, size, device="cuda")
    seconds = []
    for _ in range(REPEATS + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        a @ a
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / float(np.median(seconds)) / 1e12


def table(report):
    """Header and rows: microseconds a step of every peer, ratios, and the rate reached."""
    found = peers()
    others = [name for name in found if name != "fastmlp"]
    header = ["case", "batch", "network", *[f"{name}, us" for name in found]]
    rows = [[*header, *[f"x {name}" for name in others], "TFLOP/s"]]
    for case in CASES:
        runs = {}
        for name, peer in found.items():
            runs[name] = peer(case, "float32")
            _, loss = runs[name]()
            report(f"{case.name}: {name} has loss {loss:.6f}")
            if name == "fastmlp":
                expected = loss
            elif abs(loss - expected) > TOLERANCE["float32"] * max(abs(expected), 0.01):
                raise AssertionError(f"{case.name}: {name} has loss {loss}, not {expected}")
        times = {name: [] for name in runs}
        for _ in range(REPEATS):
            for name, run in runs.items():
                times[name].append(run()[0] / case.n_steps * 1e6)
        medians = {name: float(np.median(t)) for name, t in times.items()}
        ours = medians["fastmlp"]
        row = [case.name, str(case.batch_size), "-".join(map(str, case.units))]
        row += [f"{medians[name]:.1f}" for name in found]
        row += [f"{medians[name] / ours:.1f}" for name in others]
        rows.append([*row, f"{case.flop / ours / 1e6:.2f}"])
    return rows


def many_networks(n_networks=100, case=CASES[0]):
    """Seconds to fit small networks one after the other, and together; medians."""
    from fastmlp import MLPClassifier, fit_many

    X, y = case.data("float32")

    def networks():
        return [
            MLPClassifier(
                case.units[1:-1], batch_size=case.batch_size, max_iter=case.n_epochs, tol=0.0,
                n_iter_no_change=case.n_epochs + 1, random_state=seed, device="cuda",
            )
            for seed in range(n_networks)
        ]  # fmt: skip

    def one_by_one(models):
        for model in models:
            model.fit(X, y)

    ways = {"one": one_by_one, "together": lambda models: fit_many(models, X, y)}
    seconds = {name: [] for name in ways}
    weights = {}
    for repeat in range(REPEATS + 1):
        for name, fit in ways.items():
            models = networks()
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that training has not converged
                fit(models)
            if repeat:  # the first compiles
                seconds[name].append(time.perf_counter() - start)
            weights[name] = np.stack([model.coefs_[0] for model in models])
    if not np.array_equal(*weights.values()):
        raise AssertionError("networks that were fitted together are different")
    return [float(np.median(times)) for times in seconds.values()]


@click.command()
@click.option("--name", required=True, help="Of the machine: end of the result file's name.")
@click.option("--no-tests", is_flag=True, help="Measure without running the tests first.")
def main(name, no_tests):
    """Test and measure the GPU backend on this machine."""
    from fastmlp.cuda.support import describe, why_not

    if why_not():
        raise click.ClickException(f"nothing to measure: {why_not()}")
    if not no_tests:
        subprocess.run([sys.executable, "-m", "pytest", "-q", ROOT / "tests" / "cuda"], check=True)
    rows = table(lambda line: click.echo(line, err=True))
    header, *body = ["| " + " | ".join(row) + " |" for row in rows]
    text = "\n".join([header, "|" + "---|" * len(rows[0]), *body])
    packages = [p for p in ("fastmlp", "numba-cuda", "numpy", "torch", "jax")
                if importlib.util.find_spec(p.replace("-", "_"))]  # fmt: skip
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    note = (
        f"{describe()}; {versions}; {date.today()}. Adam in float32, microseconds a step, medians "
        f"of {REPEATS} runs in turn. torch's float32 product: {product_rate():.1f} TFLOP/s."
    )
    one, together = many_networks()
    small = "-".join(map(str, CASES[0].units))
    text += (
        f"\n\n100 networks of {small}, {CASES[0].n_epochs} epochs of {CASES[0].n_rows} rows each: "
        f"{one:.2f} s one after the other, {together:.2f} s with `fit_many`."
    )
    path = ROOT / "benchmarks" / "results" / f"gpu-{name}.md"
    path.write_text(f"# A training step on a GPU\n\n{note}\n\n{text}\n")
    click.echo(f"{note}\n\n{text}")


if __name__ == "__main__":
    main()
