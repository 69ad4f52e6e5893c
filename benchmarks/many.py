"""Many networks of the same data at once, beside the ways that other libraries have for that."""

import importlib.util
import time
import warnings
from contextlib import ExitStack

import numpy as np

from fastmlp import MLPClassifier, fit_many
from fastmlp.engines.devices import cpu_threads
from fastmlp.tools.bench import QUIET, REPEATS, TOLERANCE, Case

from .apart import Apart, peak_megabytes
from .peers import LEARNING_RATE, initial_weights, jax_epoch

CASE = Case("many", 200, 10_000, (50, 256, 256, 256, 10), 1)
# Numbers of networks with the epochs of each, and whether peers are measured that train one network
# after the other: their time for each does not depend on the number.
SIZES = [(8, 2, True), (32, 1, False), (128, 1, False)]
# A peer that compiles is measured for no more networks than this.
MOST_OF_JAX = 32


def _estimators(cls, n_models, n_epochs, **options):
    return [
        cls(
            CASE.units[1:-1], batch_size=CASE.batch_size, alpha=0.0, shuffle=False, tol=0.0,
            n_iter_no_change=10**6, max_iter=n_epochs, random_state=seed, **options,
        )
        for seed in range(n_models)
    ]  # fmt: skip


def _timed(fit):
    """Return seconds, those of this process's threads, and the losses that `fit` returns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start, cpu = time.perf_counter(), time.process_time()
        losses = [float(loss) for loss in fit()]
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        return {"seconds": seconds, "cpu": cpu, "losses": losses}


def one_network(n_epochs):
    """One network by one thread."""
    X, y = CASE.data("float32")

    def fit():
        (model,) = _estimators(MLPClassifier, 1, n_epochs, n_jobs=1)
        return [model.fit(X, y).loss_]

    return lambda: _timed(fit)


def many_networks(n_models, n_epochs):
    """``fit_many``, and by how many megabytes the process has grown."""
    X, y = CASE.data("float32")
    one_network(1)()
    before = peak_megabytes()

    def fit():
        return [m.loss_ for m in fit_many(_estimators(MLPClassifier, n_models, n_epochs), X, y)]

    def run():
        result = _timed(fit)
        return result | {"megabytes": peak_megabytes() - before}

    return run


def _fit_one(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(X, y).loss_


def sklearn_joblib(n_models, n_epochs):
    """scikit-learn's networks in processes of joblib, one on each core."""
    from joblib import Parallel, delayed
    from sklearn.neural_network import MLPClassifier as Peer

    X, y = CASE.data("float32")

    def fit():
        jobs = (delayed(_fit_one)(m, X, y) for m in _estimators(Peer, n_models, n_epochs))
        return Parallel(n_jobs=cpu_threads(None))(jobs)

    return lambda: _timed(fit)


def _torch_losses(parameters, forward, n_epochs):
    """Train parameters by Adam; ``forward(rows)`` returns the loss of each network."""
    import torch

    optimizer = torch.optim.Adam(parameters, LEARNING_RATE, fused=True)
    for _ in range(n_epochs):
        total = 0.0
        for start in range(0, CASE.n_rows, CASE.batch_size):
            optimizer.zero_grad(set_to_none=True)
            losses = forward(slice(start, start + CASE.batch_size))
            losses.sum().backward()
            optimizer.step()
            total += losses.detach() * CASE.batch_size
    return total / CASE.n_rows


def torch_loop(n_models, n_epochs):
    """Networks of torch one after the other, each on all threads."""
    import torch

    X, y = (torch.from_numpy(array) for array in CASE.data("float32"))

    def fit_one(seed):
        layers = [[torch.from_numpy(np.float32(a)).requires_grad_() for a in parts]
                  for parts in initial_weights(CASE, seed)]  # fmt: skip

        def forward(rows):
            activation = X[rows]
            for W, b in zip(*layers, strict=True):
                if W is not layers[0][0]:
                    activation = torch.relu(activation)
                activation = torch.addmm(b, activation, W)
            return torch.nn.functional.cross_entropy(activation, y[rows])

        return _torch_losses([*layers[0], *layers[1]], forward, n_epochs)

    return lambda: _timed(lambda: [fit_one(seed) for seed in range(n_models)])


def torch_batched(n_models, n_epochs):
    """All networks as one of torch, whose products are batched, as ``torch.vmap`` makes them."""
    import torch

    X, y = (torch.from_numpy(array) for array in CASE.data("float32"))

    def fit():
        every = [initial_weights(CASE, seed) for seed in range(n_models)]
        weights, biases = (
            [
                torch.from_numpy(np.stack(of_a_layer).astype(np.float32))
                for of_a_layer in zip(*of_all, strict=True)
            ]
            for of_all in zip(*every, strict=True)
        )
        biases = [b[:, None] for b in biases]
        for parameter in (*weights, *biases):
            parameter.requires_grad_()

        def forward(rows):
            activation = X[rows].expand(n_models, -1, -1)
            for W, b in zip(weights, biases, strict=True):
                if W is not weights[0]:
                    activation = torch.relu(activation)
                activation = torch.baddbmm(b, activation, W)
            targets = y[rows].expand(n_models, -1)
            losses = torch.nn.functional.cross_entropy(
                activation.transpose(1, 2), targets, reduction="none"
            )
            return losses.mean(dim=1)

        return _torch_losses([*weights, *biases], forward, n_epochs)

    return lambda: _timed(fit)


def jax_vmap(n_models, n_epochs):
    """Epochs of ``lax.scan`` under ``jax.vmap``, compiled before they are timed."""
    import jax

    initial, epoch = jax_epoch(CASE, "float32", *CASE.data("float32"), LEARNING_RATE)
    epoch = jax.jit(jax.vmap(epoch))

    def fit():
        every = [initial(seed) for seed in range(n_models)]
        carry = jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *every)
        for _ in range(n_epochs):
            carry, losses = epoch(carry)
        return jax.block_until_ready(losses)

    fit()
    return lambda: _timed(fit)


def _peers(n_models, is_small):
    """The peers that are measured for a number of networks, by name."""
    found = {}
    if is_small:
        found["scikit-learn, joblib"] = sklearn_joblib
    if importlib.util.find_spec("torch"):
        if is_small:
            found["torch, loop"] = torch_loop
        found["torch, batched"] = torch_batched
    if importlib.util.find_spec("jax") and n_models <= MOST_OF_JAX:
        found["jax, vmap"] = jax_vmap
    return found


def _measure(n_models, n_epochs, peers, report):
    """Measure in turn, after the losses are compared.

    Returns
    -------
    seconds : dict of str to ndarray of shape (REPEATS,)
    cpu : dict of str to ndarray of shape (REPEATS,)
        CPU seconds.
    megabytes : float
        What the process of ``fit_many`` has grown by.
    """
    with ExitStack() as stack:

        def start(*what):
            return stack.enter_context(Apart(*what))

        processes = {"one": start(one_network, n_epochs),
                     "fastmlp": start(many_networks, n_models, n_epochs)}  # fmt: skip
        for name, peer in peers.items():
            processes[name] = start(peer, n_models, n_epochs)
        first = {name: process.run() for name, process in processes.items()}
        expected = first["fastmlp"]["losses"]
        assert first["one"]["losses"] == expected[:1], "one network differs from one of many"
        for name, found in first.items():
            report(f"{n_models} networks: {name} has loss {found['losses'][0]:.6f}")
            size = len(found["losses"])
            np.testing.assert_allclose(
                found["losses"], expected[:size], rtol=TOLERANCE["float32"], err_msg=name
            )
        seconds, cpu = ({name: [] for name in processes} for _ in range(2))
        for _ in range(REPEATS):
            for name, process in processes.items():
                time.sleep(QUIET)
                last = process.run()
                seconds[name].append(last["seconds"])
                cpu[name].append(last["cpu"])
                if name == "fastmlp":
                    megabytes = last["megabytes"]
    seconds, cpu = (
        {name: np.array(of_one) for name, of_one in times.items()} for times in (seconds, cpu)
    )
    return seconds, cpu, megabytes


def table(report):
    names = list(_peers(1, True))
    n_threads = cpu_threads(None)
    header = ["networks", "epochs", "one at a time, 1 thread", f"fastmlp, {n_threads} threads"]
    header += ["efficiency", "by CPU time", "more memory, MB", *names, "x best peer"]
    rows = [header]
    for n_models, n_epochs, is_small in SIZES:
        peers = _peers(n_models, is_small)
        seconds, cpu, megabytes = _measure(n_models, n_epochs, peers, report)
        one, ours = seconds["one"], seconds["fastmlp"]
        efficiency = np.median(one * n_models / (n_threads * ours))
        by_cpu = np.median(cpu["one"] * n_models / cpu["fastmlp"])
        rates = {name: n_models / np.median(s) for name, s in seconds.items()}
        row = [str(n_models), str(n_epochs), f"{1 / np.median(one):.2f}", f"{rates['fastmlp']:.2f}"]
        row += [f"{efficiency:.2f}", f"{by_cpu:.2f}", f"{megabytes:.0f}"]
        row += [f"{rates[name]:.2f}" if name in rates else "" for name in names]
        best = max(rates[name] for name in peers) if peers else np.nan
        rows.append([*row, f"{rates['fastmlp'] / best:.1f}" if peers else ""])
        report(str(rows[-1]))
    return rows
