"""Who trains on a GPU: this package, torch and JAX.

A peer is made for a case and keeps its data on the device. ``restart()`` gives it the initial
weights and waits until they are there; ``run(n_epochs)`` trains, and returns the mean loss of the
last epoch once the device has done all. All compute in float32, from the same weights, and take
the same rows in the same batches. Ours gathers them from the order of the data, as a shuffled fit
does; the others have them in place.
"""

import gc
import importlib.util
import os
import warnings

import numpy as np

from .peers import initial_weights, jax_epoch, set_initial_weights, torch_network

# Of Adam. With ten times as much the first steps throw the wide network so far that losses leave
# the range where probabilities are not clipped, and libraries clip them differently.
LEARNING_RATE = 1e-4


def rows(case):
    """X, labels, and the order in which batches are cut."""
    if case.n_rows % case.batch_size:
        raise ValueError(f"{case.name}: graphs and scans need batches of one size")
    X, y = case.data("float32")
    return X, y, np.random.default_rng(1).permutation(case.n_rows)


class FastMLP:
    """The engine of ``device='cuda'``, with a softmax output for two classes, too."""

    def __init__(self, case):
        from fastmlp.engines.cuda.engine import CudaEngine
        from fastmlp.network.plan import Activation, Loss, Optimizer, TrainingPlan
        from fastmlp.network.weights import flatten

        X, y, self._order = rows(case)
        plan = TrainingPlan(
            case.units, Activation.RELU, Loss.CROSS_ENTROPY, Optimizer.ADAM,
            batch_size=case.batch_size, beta_1=0.9, beta_2=0.999, epsilon=1e-8,
            dtype=np.dtype(np.float32),
        )  # fmt: skip
        self._theta = flatten(*initial_weights(case), plan.dtype)
        one_hot = np.eye(case.units[-1], dtype=plan.dtype)[y]
        self._engine = CudaEngine(plan, self._theta, X, one_hot)

    def restart(self):
        zeros = np.zeros_like(self._theta)
        self._engine.push(self._theta, (0, zeros, zeros))
        self._engine.pull()

    def run(self, n_epochs):
        for _ in range(n_epochs):
            loss = self._engine.run_epoch(self._order, LEARNING_RATE)
        return loss

    def bits(self, n_epochs=2):
        """All that some epochs from the initial weights leave: loss, weights and moments."""
        self.restart()
        loss = self.run(n_epochs)
        _, *moments = self._engine.state()
        return np.concatenate([[loss], self._engine.pull(), *moments]).tobytes()


class TorchEager:
    """Operation by operation, on slices of data that lie on the device; fused Adam."""

    is_captured = False
    device = "cuda"

    def __init__(self, case):
        import torch

        torch.set_float32_matmul_precision("highest")  # no TF32
        self._torch, self._case = torch, case
        X, y, order = rows(case)
        X, y = (torch.from_numpy(array[order]).to(self.device) for array in (X, y))
        self._batches = list(zip(X.split(case.batch_size), y.split(case.batch_size), strict=True))
        self._network = torch_network(case, "float32").to(self.device)
        self._optimizer = torch.optim.Adam(
            self._network.parameters(), LEARNING_RATE, fused=True, capturable=self.is_captured
        )
        self._loss_function = torch.nn.CrossEntropyLoss()
        self._prepare()

    def _prepare(self):
        """Make the optimiser's state, which a restart fills."""
        self._step(*self._batches[0])

    def _step(self, X, y):
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss_function(self._network(X), y)
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def _epoch(self):
        return self._torch.stack([self._step(*batch) for batch in self._batches]).mean()

    def restart(self):
        set_initial_weights(self._network, self._case)
        with self._torch.no_grad():
            for state in self._optimizer.state.values():
                for value in state.values():
                    value.zero_()
        self._synchronize()

    def run(self, n_epochs):
        for _ in range(n_epochs):
            loss = self._epoch()
        loss = float(loss)
        self._synchronize()
        return loss

    def _synchronize(self):
        if self.device == "cuda":
            self._torch.cuda.synchronize()


class _TorchGraph(TorchEager):
    """Captured as torch's notes on CUDA graphs say: some steps on a side stream, then gradients
    of None, so that the graph neither zeroes nor accumulates any."""

    is_captured = True

    def _capture(self, X, y, work):
        """A graph of `work`, after steps on X and y."""
        cuda = self._torch.cuda
        stream = cuda.Stream()
        stream.wait_stream(cuda.current_stream())
        with cuda.stream(stream), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that these steps are not captured
            for _ in range(3):
                self._step(X, y)
        cuda.current_stream().wait_stream(stream)
        gc.collect()  # nobody's memory shall be freed during the capture
        self._graph = cuda.CUDAGraph()
        self._optimizer.zero_grad(set_to_none=True)
        with cuda.graph(self._graph):
            work()


class TorchStepGraph(_TorchGraph):
    """A graph of one step, whose batch is copied to where the graph expects it."""

    def _prepare(self):
        self._X, self._y = (array.clone() for array in self._batches[0])
        self._total = self._torch.zeros((), device=self.device)
        self._capture(self._X, self._y, lambda: self._total.add_(self._step(self._X, self._y)))

    def _epoch(self):
        self._total.zero_()
        for X, y in self._batches:
            self._X.copy_(X)
            self._y.copy_(y)
            self._graph.replay()
        return self._total / len(self._batches)


class TorchEpochGraph(_TorchGraph):
    """One graph of all steps of an epoch, each on its slice of the data."""

    def _prepare(self):
        def epoch():
            self._loss = TorchEager._epoch(self)

        self._capture(*self._batches[0], epoch)

    def _epoch(self):
        self._graph.replay()
        return self._loss


class JaxScan:
    """One compiled ``lax.scan`` over the steps of an epoch."""

    def __init__(self, case):
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")  # no TF32
        self._wait = jax.block_until_ready
        X, y, order = rows(case)
        self._initial, self._epoch = jax_epoch(case, "float32", X[order], y[order], LEARNING_RATE)

    def restart(self):
        self._carry = self._wait(self._initial())

    def run(self, n_epochs):
        for _ in range(n_epochs):
            self._carry, loss = self._epoch(self._carry)
        self._wait(self._carry)
        return float(loss)


def peers():
    """Peers by name, ours first; and those left out, with the reason."""
    found, left_out = {"fastmlp": FastMLP}, {}
    reason = _why_no_torch()
    if reason:
        left_out["torch"] = reason
    else:
        found |= {
            "torch eager": TorchEager,
            "torch graph of a step": TorchStepGraph,
            "torch graph of an epoch": TorchEpochGraph,
        }
    reason = _why_no_jax()
    if reason:
        left_out["jax"] = reason
    else:
        found["jax scan"] = JaxScan
    return found, left_out


def _why_no_torch():
    if not importlib.util.find_spec("torch"):
        return "it is not installed"
    try:
        import torch

        return "" if torch.cuda.is_available() else "torch.cuda.is_available() is False"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _why_no_jax():
    if not importlib.util.find_spec("jax"):
        return "it is not installed"
    # Else it takes three quarters of the memory that the others need, too.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        import jax

        backend = jax.default_backend()
        return "" if backend == "gpu" else f"its default backend is {backend}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
