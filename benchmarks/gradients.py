"""Input gradients of the predicted class's probability, beside predictions and torch.autograd.

Each library has a process of its own, and the same weights.
"""

import importlib.util
import time
import warnings
from contextlib import ExitStack

import numpy as np

import fastmlp
from fastmlp.tools.bench import CASES, QUIET, REPEATS

from .apart import Apart

NAMES = ["letter", "tabular", "mnist50", "mnist256"]
LINEAR = "no hidden layer"
ROWS = (1, 100, 1_000, 10_000)
CALLS = 7


def fitted(name):
    """Rows of a case, and a model of some of them."""
    case = next(case for case in CASES if case.name == name.removesuffix(f", {LINEAR}"))
    X, y = case.data("float32")
    hidden = () if name.endswith(LINEAR) else case.units[1:-1]
    model = fastmlp.MLPClassifier(hidden, max_iter=1, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X[:1000], y[:1000])
    return np.resize(X, (max(ROWS), X.shape[1])), model


def torch_functions(model):
    """What torch predicts for rows with the weights of a model, and its input gradients."""
    import torch

    modules = []
    for W, b in zip(model.coefs_, model.intercepts_, strict=True):
        linear = torch.nn.Linear(*W.shape)
        linear.weight.data, linear.bias.data = torch.from_numpy(W.T.copy()), torch.from_numpy(b)
        modules += [linear.requires_grad_(False), torch.nn.ReLU()]
    network = torch.nn.Sequential(*modules[:-1], torch.nn.Softmax(dim=1))

    def predict(X):
        with torch.no_grad():
            return network(torch.from_numpy(X)).numpy()

    def gradients(X):
        inputs = torch.from_numpy(X).requires_grad_()
        (found,) = torch.autograd.grad(network(inputs).amax(dim=1).sum(), inputs)
        return found.numpy()

    return predict, gradients


def start(peer, name):
    """Return a run over all numbers of rows of a case: seconds, and a part of the results.

    The seconds are medians of some calls, by turns of a prediction and of its gradients.
    """
    X, model = fitted(name)
    functions = model.predict_proba, lambda rows: fastmlp.input_gradients(model, rows)
    if peer == "torch":
        functions = torch_functions(model)

    def run():
        medians = []
        for n_rows in ROWS:
            seconds = [[], []]
            for _ in range(CALLS):
                for function, so_far in zip(functions, seconds, strict=True):
                    begin = time.perf_counter()
                    found = function(X[:n_rows])
                    so_far.append(time.perf_counter() - begin)
            medians.append(np.median(seconds, axis=1).tolist())
        return {"seconds": medians, "found": found[-999:].tolist()}

    return run


def measured(name, peers):
    """Seconds of predictions and gradients, by peer and number of rows, from turns of all."""
    with ExitStack() as stack:
        processes = [stack.enter_context(Apart(start, peer, name)) for peer in peers]
        found = [process.run()["found"] for process in processes]
        for other in found[1:]:
            np.testing.assert_allclose(found[0], other, atol=1e-4)
        seconds = [[] for _ in peers]
        for _ in range(REPEATS):
            for process, so_far in zip(processes, seconds, strict=True):
                time.sleep(QUIET)
                so_far.append(process.run()["seconds"])
    return np.array(seconds)


def table(report):
    peers = ["fastmlp", *(["torch"] if importlib.util.find_spec("torch") else [])]
    rows = [["case", "network", "rows", "prediction, us", "gradients, us", "x prediction"]]
    rows[0] += [f"{peer}, us" for peer in peers[1:]] + [f"x {peer}" for peer in peers[1:]]
    for name in [*NAMES, f"letter, {LINEAR}", f"mnist50, {LINEAR}"]:
        case = next(case for case in CASES if case.name == name.removesuffix(f", {LINEAR}"))
        units = (case.units[0], case.units[-1]) if name.endswith(LINEAR) else case.units
        seconds = measured(name, peers)
        ratios = np.median(seconds[0, ..., 1] / seconds[0, ..., 0], axis=0)
        medians = np.median(seconds, axis=1)
        for number, n_rows in enumerate(ROWS):
            prediction, gradients = medians[0, number]
            row = [name, "-".join(map(str, units)), str(n_rows), f"{prediction * 1e6:.0f}"]
            row += [f"{gradients * 1e6:.0f}", f"{ratios[number]:.1f}"]
            others = medians[1:, number, 1]
            row += [f"{other * 1e6:.0f}" for other in others]
            rows.append([*row, *(f"{other / gradients:.1f}" for other in others)])
            report(str(rows[-1]))
    return rows
