"""Imports and first fits, each in a fresh process: time, memory, and whether numba is loaded."""

import importlib.util
import json
import os
import site
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fastmlp.tools.bench import REPEATS

# What each process says last.
_SAYS = """
import json, sys
from benchmarks.apart import peak_megabytes
said = {"numba": "numba" in sys.modules, "loss": globals().get("loss")}
print(json.dumps(said | {"megabytes": peak_megabytes()}))
"""
ESTIMATOR = """
import warnings
warnings.simplefilter("ignore")
from sklearn.datasets import load_iris
from {module} import MLPClassifier
X, y = load_iris(return_X_y=True)
model = MLPClassifier(alpha=0.0, max_iter=200, shuffle=False, random_state=0).fit(X, y)
model.predict(X)
loss = model.loss_
"""
PEER = """
from sklearn.datasets import load_iris
from benchmarks.start import {function}
loss = {function}(*load_iris(return_X_y=True))
"""


def _network():
    """Initial weights and biases of the estimators' network for iris."""
    from fastmlp.tools.bench import Case

    from .peers import initial_weights

    return initial_weights(Case("iris", 150, 150, (4, 100, 3), 200))


def torch_fit(X, y):
    """The estimators' network in eager torch; return its last loss."""
    import torch

    weights, biases = _network()
    X, y = torch.from_numpy(X), torch.from_numpy(y)
    weights, biases = ([torch.from_numpy(a).requires_grad_() for a in p] for p in (weights, biases))
    optimizer = torch.optim.Adam([*weights, *biases], fused=True)
    for _ in range(200):
        optimizer.zero_grad()
        hidden = torch.relu(torch.addmm(biases[0], X, weights[0]))
        outputs = torch.addmm(biases[1], hidden, weights[1])
        loss = torch.nn.functional.cross_entropy(outputs, y)
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def jax_fit(X, y):
    """The estimators' network in JAX, all steps compiled as one loop; return its last loss."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    X, y = jnp.asarray(X), jnp.asarray(y)

    def objective(parameters):
        (W, V), (b, c) = parameters
        log_p = jax.nn.log_softmax(jax.nn.relu(X @ W + b) @ V + c)
        return -jnp.take_along_axis(log_p, y[:, None], axis=1).mean()

    def step(carry, t):
        parameters, m, v = carry
        loss, gradient = jax.value_and_grad(objective)(parameters)
        rate = 0.001 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-8), parameters, m, v
        )
        return (parameters, m, v), loss

    parameters = jax.tree.map(jnp.asarray, _network())
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    train = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.arange(1.0, 201.0))[1][-1])
    return float(train((parameters, zeros, zeros)))


def _places(folder):
    """The environment of a user who has nothing but this folder."""
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"), folder)
    return places | {"NUMBA_CACHE_DIR": folder, "PYTHONUSERBASE": site.getuserbase()}


def run(code, environment):
    """Run code in a fresh process.

    Returns
    -------
    numbers : tuple (wall seconds, CPU seconds, megabytes at most)
    said : dict
    """
    with tempfile.TemporaryFile("w+") as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", code + _SAYS],
            stdout=said, env={**os.environ, **environment}, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(f"a process ended with {process.returncode}: {code}")
        said.seek(0)
        answer = json.loads(said.read().splitlines()[-1])
    return (seconds, usage.ru_utime + usage.ru_stime, answer.pop("megabytes")), answer


def _cases():
    """The code of each process by what it is, and whether it comes to what earlier ones kept."""
    fit = ESTIMATOR.format(module="fastmlp")
    cases = {
        "import numpy": ("import numpy", True),
        "import sklearn.neural_network": ("import sklearn.neural_network", True),
        "from fastmlp import MLPClassifier": ("from fastmlp import MLPClassifier", True),
        "scikit-learn: import, fit, predict": (
            ESTIMATOR.format(module="sklearn.neural_network"), True,
        ),
        "fastmlp: the first ever": (fit, False),
        "fastmlp: a later process": (fit, True),
    }  # fmt: skip
    for name in ("torch", "jax"):
        if importlib.util.find_spec(name):
            cases[f"{name}: import, fit"] = PEER.format(function=f"{name}_fit"), True
    return cases


def _check_losses(said):
    losses = {what: answer["loss"] for what, answer in said.items() if answer["loss"] is not None}
    expected = next(iter(losses.values()))
    for what, loss in losses.items():
        np.testing.assert_allclose(loss, expected, rtol=1e-4, err_msg=what)


def table(report):
    cases = _cases()
    with tempfile.TemporaryDirectory() as kept:
        said = {what: run(code, _places(kept))[1] for what, (code, _) in cases.items()}
        _check_losses(said)
        numbers = {what: [] for what in cases}
        for _ in range(REPEATS):
            for what, (code, is_later) in cases.items():
                with tempfile.TemporaryDirectory() as nothing:
                    found, said[what] = run(code, _places(kept if is_later else nothing))
                numbers[what].append(found)
    rows = [["a fresh process", "seconds", "CPU seconds", "memory, MB", "numba is loaded"]]
    medians = {what: np.median(found, axis=0) for what, found in numbers.items()}
    for what, (seconds, cpu, megabytes) in medians.items():
        loads = "yes" if said[what]["numba"] else "no"
        rows.append([what, f"{seconds:.2f}", f"{cpu:.2f}", f"{megabytes:.0f}", loads])
        report(str(rows[-1]))
    ours, theirs = (medians[what] for what in
                    ("fastmlp: a later process", "scikit-learn: import, fit, predict"))  # fmt: skip
    more = ours - theirs
    rows.append(["fastmlp, later, more than scikit-learn", f"{more[0]:.2f}", f"{more[1]:.2f}",
                 f"{more[2]:.0f}", ""])  # fmt: skip
    return rows
