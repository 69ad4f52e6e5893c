"""A plain numpy multilayer perceptron: the oracle. It imports nothing from fastmlp.

Written for reading: one function for each formula of the textbook, no speed.
"""

from itertools import pairwise

import numpy as np
from scipy.special import expit, xlogy


def activation(name, z):
    return {
        "identity": lambda: z,
        "logistic": lambda: expit(z),
        "tanh": lambda: np.tanh(z),
        "relu": lambda: np.maximum(z, 0),
    }[name]()


def activation_derivative(name, a):
    """Derivative at the activation a."""
    return {
        "identity": lambda: np.ones_like(a),
        "logistic": lambda: a * (1 - a),
        "tanh": lambda: 1 - a**2,
        "relu": lambda: (a > 0).astype(float),
    }[name]()


def output_activation(loss, z):
    if loss == "cross_entropy":
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    return {"squared_error": lambda: z, "poisson": lambda: np.exp(z),
            "binary_cross_entropy": lambda: expit(z)}[loss]()  # fmt: skip


def row_losses(loss, Y, P):
    """Loss of each row."""
    if loss == "squared_error":
        return (0.5 * (P - Y) ** 2).mean(axis=1)
    if loss == "poisson":
        return (xlogy(Y, Y / P) - Y + P).sum(axis=1)
    eps = np.finfo(float).eps
    P = np.clip(P, eps, 1 - eps)
    if loss == "cross_entropy":
        return -xlogy(Y, P).sum(axis=1)
    return -(xlogy(Y, P) + xlogy(1 - Y, 1 - P)).sum(axis=1)


def initial_weights(layer_units, activation_name, rng, init="sklearn"):
    factor = 2 if activation_name == "logistic" else 6
    weights, biases = [], []
    for fan_in, fan_out in pairwise(layer_units):
        if init != "sklearn":
            uniform_bound, deviation = {
                "glorot": (np.sqrt(6 / (fan_in + fan_out)), np.sqrt(2 / (fan_in + fan_out))),
                "he": (np.sqrt(6 / fan_in), np.sqrt(2 / fan_in)),
                "lecun": (np.sqrt(3 / fan_in), np.sqrt(1 / fan_in)),
            }[init.split("_")[0]]
            if init.endswith("uniform"):
                W = rng.uniform(-uniform_bound, uniform_bound, (fan_in, fan_out))
            else:
                W = deviation * rng.standard_normal((fan_in, fan_out))
            weights.append(W)
            biases.append(np.zeros(fan_out))
            continue
        bound = np.sqrt(factor / (fan_in + fan_out))
        weights.append(rng.uniform(-bound, bound, (fan_in, fan_out)))
        biases.append(rng.uniform(-bound, bound, fan_out))
    return weights, biases


def forward(weights, biases, activation_name, loss, X):
    """Activations of every layer, input and output included."""
    activations = [X]
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True), start=1):
        z = activations[-1] @ W + b
        is_output = layer == len(weights)
        activations.append(
            output_activation(loss, z) if is_output else activation(activation_name, z)
        )
    return activations


def loss_and_gradient(weights, biases, activation_name, loss, X, Y, sample_weight, alpha):
    """Mean loss with the L2 penalty, and the gradient that training follows."""
    sw = np.ones(len(X)) if sample_weight is None else sample_weight
    total = sw.sum()
    a = forward(weights, biases, activation_name, loss, X)
    value = (row_losses(loss, Y, a[-1]) * sw).sum() / total
    value += 0.5 * alpha * sum((W**2).sum() for W in weights) / total
    delta = (a[-1] - Y) * sw[:, None]
    grad_W, grad_b = [], []
    for layer in reversed(range(len(weights))):
        grad_W.insert(0, (a[layer].T @ delta + alpha * weights[layer]) / total)
        grad_b.insert(0, delta.sum(axis=0) / total)
        if layer > 0:
            delta = (delta @ weights[layer].T) * activation_derivative(activation_name, a[layer])
    return value, grad_W + grad_b


class Adam:
    def __init__(self, params, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
        self.rate, self.b1, self.b2, self.eps, self.t = learning_rate, beta_1, beta_2, epsilon, 0
        self.m = [np.zeros_like(p) for p in params]
        self.v = [np.zeros_like(p) for p in params]

    def step(self, params, grads):
        self.t += 1
        rate = self.rate * np.sqrt(1 - self.b2**self.t) / (1 - self.b1**self.t)
        for i, g in enumerate(grads):
            self.m[i] = self.b1 * self.m[i] + (1 - self.b1) * g
            self.v[i] = self.b2 * self.v[i] + (1 - self.b2) * g**2
            params[i] -= rate * self.m[i] / (np.sqrt(self.v[i]) + self.eps)


class SGD:
    def __init__(self, params, learning_rate, momentum=0.9, nesterov=True):
        self.rate, self.momentum, self.nesterov = learning_rate, momentum, nesterov
        self.velocity = [np.zeros_like(p) for p in params]

    def step(self, params, grads):
        for i, g in enumerate(grads):
            self.velocity[i] = self.momentum * self.velocity[i] - self.rate * g
            ahead = self.momentum * self.velocity[i] - self.rate * g
            params[i] += ahead if self.nesterov else self.velocity[i]


def train(
    X, Y, *, hidden, activation_name, loss, optimizer, seed, epochs, batch_size, alpha=0.0,
    sample_weight=None, shuffle=True, rates=None, **constants,
):  # fmt: skip
    """Weights, biases and loss curve after some epochs, each at its own rate of `rates`."""
    rng = np.random.RandomState(seed)
    weights, biases = initial_weights([X.shape[1], *hidden, Y.shape[1]], activation_name, rng)
    params = weights + biases  # updated in place
    optimizer = optimizer(params, **constants)
    order, curve = np.arange(len(X)), []
    for epoch in range(epochs):
        if rates is not None:
            optimizer.rate = rates[epoch]
        if shuffle:
            permutation = np.arange(len(X))
            rng.shuffle(permutation)
            order = order[permutation]
        epoch_loss = 0.0
        for start in range(0, len(X), batch_size):
            rows = order[start : start + batch_size]
            sw = None if sample_weight is None else sample_weight[rows]
            value, grads = loss_and_gradient(
                weights, biases, activation_name, loss, X[rows], Y[rows], sw, alpha
            )
            epoch_loss += value * len(rows)
            optimizer.step(params, grads)
        curve.append(epoch_loss / len(X))
    return weights, biases, curve
