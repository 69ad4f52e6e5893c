"""A plain numpy multilayer perceptron: the oracle. It imports nothing from fastmlp.

Written for reading: one function for each formula of the textbook, no speed.
"""

from itertools import pairwise

import numpy as np
from scipy.special import erf, expit, xlogy

LEAK = 0.01
SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def normal_cdf(z):
    return (1 + erf(z / np.sqrt(2))) / 2


# Each with its derivative, both at the pre-activation.
ACTIVATIONS = {
    "identity": (lambda z: z, lambda z: np.ones_like(z)),
    "logistic": (expit, lambda z: expit(z) * (1 - expit(z))),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "leaky_relu": (
        lambda z: np.where(z > 0, z, LEAK * z),
        lambda z: np.where(z > 0, 1.0, LEAK),
    ),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(z)), lambda z: np.where(z > 0, 1.0, np.exp(z))),
    "selu": (
        lambda z: SELU_SCALE * np.where(z > 0, z, SELU_ALPHA * np.expm1(z)),
        lambda z: SELU_SCALE * np.where(z > 0, 1.0, SELU_ALPHA * np.exp(z)),
    ),
    "gelu": (
        lambda z: z * normal_cdf(z),
        lambda z: normal_cdf(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    ),
    "silu": (lambda z: z * expit(z), lambda z: expit(z) * (1 + z * (1 - expit(z)))),
    "softplus": (lambda z: np.logaddexp(z, 0), expit),
    "step": (lambda z: np.heaviside(z, 0.0), lambda z: np.zeros_like(z)),
}
OUTPUTS = {
    "poisson": "exp", "cross_entropy": "softmax", "margin": "softmax",
    "binary_cross_entropy": "logistic", "binary_margin": "logistic",
}  # fmt: skip


def output_activation(loss, z):
    name = OUTPUTS.get(loss, "identity")
    if name == "softmax":
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)
    return {"identity": lambda: z, "exp": lambda: np.exp(z), "logistic": lambda: expit(z)}[name]()


def margins(loss, Y, P):
    """Probability of the true class, and of the best other one, of each row or output."""
    if loss == "binary_margin":
        own = np.where(Y > 0, P, 1 - P)
        return own, 1 - own
    return P[Y > 0], np.where(Y > 0, -1, P).max(axis=1)


def row_losses(loss, Y, P, parameter=None):
    """Loss of each row. `parameter`: quantiles, the Huber loss's limit, or the margin's rho."""
    if loss == "squared_error":
        return (0.5 * (P - Y) ** 2).mean(axis=1)
    if loss == "poisson":
        return (xlogy(Y, Y / P) - Y + P).sum(axis=1)
    if loss == "absolute_error":
        return np.abs(P - Y).sum(axis=1)
    if loss == "huber":
        e = np.abs(P - Y)
        return np.where(e <= parameter, e**2 / 2, parameter * (e - parameter / 2)).sum(axis=1)
    if loss == "quantile":
        return np.maximum(parameter * (Y - P), (np.array(parameter) - 1) * (Y - P)).sum(axis=1)
    if loss == "log_cosh":
        return np.log(np.cosh(P - Y)).sum(axis=1)
    if loss in ("margin", "binary_margin"):
        own, other = margins(loss, Y, P)
        hinge = np.maximum(0, 1 - (own - other) / parameter)
        return hinge.reshape(len(Y), -1).sum(axis=1)
    eps = np.finfo(float).eps
    P = np.clip(P, eps, 1 - eps)
    if loss == "cross_entropy":
        return -xlogy(Y, P).sum(axis=1)
    return -(xlogy(Y, P) + xlogy(1 - Y, 1 - P)).sum(axis=1)


def output_deltas(loss, Y, P, parameter=None):
    """Derivative of each row's loss with respect to the output pre-activations.

    For the squared error that of the sum over outputs, which training descends.
    """
    if loss == "absolute_error":
        return np.sign(P - Y)
    if loss == "huber":
        return np.clip(P - Y, -parameter, parameter)
    if loss == "quantile":
        return np.where(Y > P, -np.array(parameter), 1 - np.array(parameter))
    if loss == "log_cosh":
        return np.tanh(P - Y)
    if loss == "binary_margin":
        own, other = margins(loss, Y, P)
        slope = np.where(own - other < parameter, -2 / parameter, 0) * np.where(Y > 0, 1, -1)
        return slope * P * (1 - P)
    if loss == "margin":
        own, other = margins(loss, Y, P)
        active = (own - other < parameter) / parameter
        G = np.zeros_like(P)
        G[Y > 0] = -active
        G[np.arange(len(P)), np.where(Y > 0, -1, P).argmax(axis=1)] = active
        return P * (G - (P * G).sum(axis=1, keepdims=True))
    return P - Y


def philox_bits(counter_0, counter_1, key):
    """Philox 2x32 with seven rounds (Salmon et al., 2011), in 64-bit arithmetic of Python."""
    for _ in range(7):
        high, low = divmod(counter_0 * 0xD256D193, 2**32)
        counter_0, counter_1 = high ^ key ^ counter_1, low
        key = (key + 0x9E3779B9) % 2**32
    return counter_0


def dropout_mask(probability, first_unit, n_units, first_row, n_rows, seed):
    """What a layer's activations are multiplied with: 0, or 1 / (1 - probability)."""
    bits = [
        [philox_bits(first_unit + j, (first_row + i) % 2**32, seed) for j in range(n_units)]
        for i in range(n_rows)
    ]
    return (np.array(bits) >= int(probability * 2**32)) / (1 - probability)


def initial_weights(layer_units, activation_names, rng, init="sklearn"):
    weights, biases = [], []
    for layer, (fan_in, fan_out) in enumerate(pairwise(layer_units)):
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
        name = of_layer(activation_names, min(layer, len(layer_units) - 3))
        factor = 2 if name == "logistic" else 6
        bound = np.sqrt(factor / (fan_in + fan_out))
        weights.append(rng.uniform(-bound, bound, (fan_in, fan_out)))
        biases.append(rng.uniform(-bound, bound, fan_out))
    return weights, biases


def forward(weights, biases, activation_names, loss, X, masks=None):
    """Activations and pre-activations of every layer; the input's are its own."""
    activations, zs = [X], [X]
    for layer, (W, b) in enumerate(zip(weights, biases, strict=True)):
        z = activations[-1] @ W + b
        zs.append(z)
        if layer == len(weights) - 1:
            activations.append(output_activation(loss, z))
        else:
            a = ACTIVATIONS[of_layer(activation_names, layer)][0](z)
            activations.append(a if masks is None else a * masks[layer])
    return activations, zs


def input_jacobians(weights, biases, activation_names, loss, X, *, of_preactivations=False):
    """Derivatives of all outputs for all inputs, (n_rows, n_outputs, n_features), from the front.

    `loss` says what the output activation is, as for :func:`forward`.
    """
    activations, zs = forward(weights, biases, activation_names, loss, X)
    J = np.broadcast_to(np.eye(X.shape[1]), (len(X), X.shape[1], X.shape[1]))
    for layer, W in enumerate(weights):
        J = np.einsum("ij,nif->njf", W, J)
        if layer < len(weights) - 1:
            J = J * ACTIVATIONS[of_layer(activation_names, layer)][1](zs[layer + 1])[:, :, None]
    if of_preactivations:
        return J
    p = activations[-1][:, :, None]
    name = OUTPUTS.get(loss, "identity")
    if name == "softmax":
        return p * (J - (p * J).sum(axis=1, keepdims=True))
    return {"identity": J, "exp": p * J, "logistic": p * (1 - p) * J}[name]


def of_layer(names, layer):
    return names if isinstance(names, str) else names[layer]


def loss_and_gradient(
    weights, biases, activation_names, loss, X, Y, sample_weight, alpha, *, l1=0.0, masks=None,
    parameter=None,
):  # fmt: skip
    """Mean loss with its penalties, and the gradient that training follows."""
    sw = np.ones(len(X)) if sample_weight is None else sample_weight
    total = sw.sum()
    a, z = forward(weights, biases, activation_names, loss, X, masks)
    value = (row_losses(loss, Y, a[-1], parameter) * sw).sum() / total
    value += 0.5 * alpha * sum((W**2).sum() for W in weights) / total
    value += l1 * sum(np.abs(W).sum() for W in weights) / total
    delta = output_deltas(loss, Y, a[-1], parameter) * sw[:, None]
    grad_W, grad_b = [], []
    for layer in reversed(range(len(weights))):
        W = weights[layer]
        grad_W.insert(0, (a[layer].T @ delta + alpha * W + l1 * np.sign(W)) / total)
        grad_b.insert(0, delta.sum(axis=0) / total)
        if layer > 0:
            derivative = ACTIVATIONS[of_layer(activation_names, layer - 1)][1]
            delta = (delta @ W.T) * derivative(z[layer])
            if masks is not None:
                delta *= masks[layer - 1]
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


class AdaGrad:
    def __init__(self, params, learning_rate, epsilon=1e-8):
        self.rate, self.eps = learning_rate, epsilon
        self.v = [np.zeros_like(p) for p in params]

    def step(self, params, grads):
        for i, g in enumerate(grads):
            self.v[i] = self.v[i] + g**2
            params[i] -= self.rate * g / (np.sqrt(self.v[i]) + self.eps)


class RMSProp:
    def __init__(self, params, learning_rate, decay=0.9, epsilon=1e-8):
        self.rate, self.decay, self.eps = learning_rate, decay, epsilon
        self.v = [np.zeros_like(p) for p in params]

    def step(self, params, grads):
        for i, g in enumerate(grads):
            self.v[i] = self.decay * self.v[i] + (1 - self.decay) * g**2
            params[i] -= self.rate * g / (np.sqrt(self.v[i]) + self.eps)


class NAdam(Adam):
    def step(self, params, grads):
        self.t += 1
        for i, g in enumerate(grads):
            self.m[i] = self.b1 * self.m[i] + (1 - self.b1) * g
            self.v[i] = self.b2 * self.v[i] + (1 - self.b2) * g**2
            ahead = self.b1 * self.m[i] / (1 - self.b1 ** (self.t + 1))
            ahead += (1 - self.b1) * g / (1 - self.b1**self.t)
            # epsilon enters before the bias correction, as in scikit-learn's Adam.
            correction = np.sqrt(1 - self.b2**self.t)
            params[i] -= self.rate * ahead * correction / (np.sqrt(self.v[i]) + self.eps)


class AveragedSGD(SGD):
    """Momentum as a running mean of gradients."""

    def step(self, params, grads):
        for i, g in enumerate(grads):
            g = (1 - self.momentum) * g
            self.velocity[i] = self.momentum * self.velocity[i] + g
            step = self.momentum * self.velocity[i] + g if self.nesterov else self.velocity[i]
            params[i] -= self.rate * step


def clip(grads, value=None, norm=None):
    if value is not None:
        grads = [np.clip(g, -value, value) for g in grads]
    if norm is not None:
        length = np.sqrt(sum((g**2).sum() for g in grads))
        grads = [g * min(1, norm / length) for g in grads]
    return grads


def limit_norms(weights, limit):
    for W in weights:
        W *= np.minimum(1, limit / np.sqrt((W**2).sum(axis=0)))


def train(
    X, Y, *, hidden, activation_name, loss, optimizer, seed, epochs, batch_size, alpha=0.0,
    sample_weight=None, shuffle=True, rates=None, l1=0.0, parameter=None, dropout=None,
    clip_value=None, clip_norm=None, weight_decay=0.0, max_norm=None, **constants,
):  # fmt: skip
    """Weights, biases and loss curve after some epochs, each at its own rate of `rates`."""
    rng = np.random.RandomState(seed)
    weights, biases = initial_weights([X.shape[1], *hidden, Y.shape[1]], activation_name, rng)
    params = weights + biases  # updated in place
    optimizer = optimizer(params, **constants)
    order, curve, steps = np.arange(len(X)), [], 0
    if dropout is not None:
        mask_seed = int(rng.randint(2**32, dtype=np.uint32))
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
            masks = None
            if dropout is not None:
                masks = [
                    dropout_mask(
                        dropout[layer], sum(hidden[:layer]), n, steps * batch_size, len(rows),
                        mask_seed,
                    )
                    for layer, n in enumerate(hidden)
                ]  # fmt: skip
            value, grads = loss_and_gradient(
                weights, biases, activation_name, loss, X[rows], Y[rows], sw, alpha, l1=l1,
                masks=masks, parameter=parameter,
            )  # fmt: skip
            epoch_loss += value * len(rows)
            for W in weights:
                W *= 1 - optimizer.rate * weight_decay
            optimizer.step(params, clip(grads, clip_value, clip_norm))
            if max_norm is not None:
                limit_norms(weights, max_norm)
            steps += 1
        curve.append(epoch_loss / len(X))
    return weights, biases, curve
