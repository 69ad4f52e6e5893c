"""The peers beyond scikit-learn, as :func:`fastmlp.tools.bench.measure` wants them.

Each trains the same network from the same weights on the same batches.
"""

import importlib.util
import time
from itertools import pairwise

import numpy as np

from fastmlp.tools.bench import PEERS

LEARNING_RATE = 0.001


def initial_weights(case, seed=0):
    """scikit-learn's initial weights for a random_state."""
    rng = np.random.RandomState(seed)
    weights, biases = [], []
    for fan_in, fan_out in pairwise(case.units):
        bound = np.sqrt(6 / (fan_in + fan_out))
        weights.append(rng.uniform(-bound, bound, (fan_in, fan_out)))
        biases.append(rng.uniform(-bound, bound, fan_out))
    return weights, biases


def torch_network(case, dtype):
    """The case's network in torch."""
    import torch

    real = getattr(torch, np.dtype(dtype).name)
    layers = []
    for fan_in, fan_out in pairwise(case.units):
        layers += [torch.nn.Linear(fan_in, fan_out, dtype=real), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def set_initial_weights(network, case):
    """Give a torch network scikit-learn's initial weights, in place."""
    import torch

    linears = [layer for layer in network if isinstance(layer, torch.nn.Linear)]
    with torch.no_grad():
        for layer, W, b in zip(linears, *initial_weights(case), strict=True):
            layer.weight.copy_(torch.from_numpy(W.T.copy()))
            layer.bias.copy_(torch.from_numpy(b))


def _torch(case, dtype, compiled):
    import torch

    X, y = (torch.from_numpy(array) for array in case.data(dtype))
    network = torch_network(case, dtype)
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE, fused=True)
    is_binary = case.units[-1] == 1
    loss_function = torch.nn.BCEWithLogitsLoss() if is_binary else torch.nn.CrossEntropyLoss()
    if is_binary:
        y = y[:, None].to(X.dtype)

    def reset():
        set_initial_weights(network, case)
        optimizer.state.clear()

    def forward(X, y):
        return loss_function(network(X), y)

    forward = torch.compile(forward) if compiled else forward

    def epoch():
        total = torch.zeros(())
        for start in range(0, case.n_rows, case.batch_size):
            X_batch = X[start : start + case.batch_size]
            optimizer.zero_grad(set_to_none=True)
            loss = forward(X_batch, y[start : start + case.batch_size])
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(X_batch)
        return float(total) / case.n_rows

    def run():
        reset()
        epoch()
        start = time.perf_counter()
        for _ in range(case.n_epochs):
            loss = epoch()
        return time.perf_counter() - start, loss

    return run


def torch_eager(case, dtype):
    return _torch(case, dtype, compiled=False)


def torch_compile(case, dtype):
    return _torch(case, dtype, compiled=True)


def jax_epoch(case, dtype, X, y, learning_rate):
    """One jitted ``lax.scan`` over the steps of an epoch, with a hand-written Adam.

    Returns
    -------
    initial : callable
        Returns what is carried from epoch to epoch, before the first; it takes the seed.
    epoch : callable
        Maps it to what is carried on, and the mean loss.
    """
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", np.dtype(dtype) == np.float64)
    if case.n_rows % case.batch_size:
        raise ValueError(f"{case.name}: a scan needs batches of one size")
    X = jnp.asarray(X).reshape(-1, case.batch_size, X.shape[1])
    y = jnp.asarray(y).reshape(-1, case.batch_size)

    def loss_function(params, X, y):
        a = X
        for W, b in params[:-1]:
            a = jax.nn.relu(a @ W + b)
        W, b = params[-1]
        z = a @ W + b
        if case.units[-1] == 1:
            return -jax.nn.log_sigmoid(jnp.where(y == 1, z[:, 0], -z[:, 0])).mean()
        return -jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1).mean()

    def step(carry, batch):
        params, m, v, t = carry
        loss, grads = jax.value_and_grad(loss_function)(params, *batch)
        t += 1
        rate = learning_rate * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        params = jax.tree.map(
            lambda p, m, v: p - (rate * m / (jnp.sqrt(v) + 1e-8)).astype(p.dtype), params, m, v
        )
        return (params, m, v, t), loss

    @jax.jit
    def epoch(carry, X, y):  # arguments: data that a program closes over are compiled into it
        carry, losses = jax.lax.scan(step, carry, (X, y))
        return carry, losses.mean()

    def initial(seed=0):
        params = [
            (jnp.asarray(W, dtype), jnp.asarray(b, dtype))
            for W, b in zip(*initial_weights(case, seed), strict=True)
        ]
        zeros = jax.tree.map(jnp.zeros_like, params)
        return params, zeros, zeros, jnp.zeros((), dtype)

    return initial, lambda carry: epoch(carry, X, y)


def jax_scan(case, dtype):
    """Epochs of :func:`jax_epoch`."""
    import jax

    initial, epoch = jax_epoch(case, dtype, *case.data(dtype), LEARNING_RATE)

    def run():
        carry, _ = epoch(initial())
        jax.block_until_ready(carry)
        start = time.perf_counter()
        for _ in range(case.n_epochs):
            carry, loss = epoch(carry)
        jax.block_until_ready(carry)
        return time.perf_counter() - start, float(loss)

    return run


_OTHERS = {
    "torch eager": ("torch", torch_eager),
    "torch.compile": ("torch", torch_compile),
    "jax scan": ("jax", jax_scan),
}


def available_peers():
    """All peers whose packages are installed, ours first."""
    others = {
        name: peer for name, (package, peer) in _OTHERS.items() if importlib.util.find_spec(package)
    }
    return PEERS | others
