"""The linear kind for regression: a ridge regression, as a network without hidden layers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ...estimators import records
from ...estimators.regressor import MLPRegressor

# Penalties of which the one with the lowest generalised cross-validation error counts.
_PENALTIES = np.logspace(-2, 4, 13)


def fit_ridge(
    network: MLPRegressor,
    X: NDArray[np.float32],
    y: NDArray[np.float32],
    weight: NDArray[np.float64] | None,
) -> None:
    """Give a network without hidden layers the coefficients of a ridge regression.

    Parameters
    ----------
    network : MLPRegressor
        It gets the fitted attributes.
    X : ndarray of shape (n_rows, n_inputs), float32
    y : ndarray of shape (n_rows,)
    weight : ndarray of shape (n_rows,) or None
        Weight of each row; None for one each.
    """
    share = None if weight is None else weight / weight.mean()
    Z, t = X.astype(np.float64), y.astype(np.float64)
    means, mean = np.average(Z, axis=0, weights=share), np.average(t, weights=share)
    Z -= means  # in place, since this is the largest array
    t -= mean
    if share is not None:
        root = np.sqrt(share)
        Z *= root[:, None]
        t *= root
    coefs = _ridge(Z, t)
    records.begin(network)
    network.coefs_ = [coefs[:, None].astype(np.float32)]
    network.intercepts_ = [np.array([mean - means @ coefs], dtype=np.float32)]
    network.n_features_in_, network.n_outputs_, network.n_layers_ = X.shape[1], 1, 2
    network.n_iter_, network.out_activation_ = 1, "identity"
    network._quantile_levels = ()


def _ridge(Z: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[Any]:
    """Return the coefficients of a ridge regression of centred data.

    Both forms need the eigenvalues of one matrix: that of the inputs, or of the rows if they are
    fewer.
    """
    n_rows, n_inputs = Z.shape
    is_wide = n_inputs > n_rows
    values, vectors = eigh(Z @ Z.T if is_wide else Z.T @ Z)
    is_used = values > max(values[-1], 1e-300) * max(Z.shape) * np.finfo(np.float64).eps
    values, vectors = values[is_used], vectors[:, is_used]
    # What of t lies along the principal directions of the rows.
    along = vectors.T @ t if is_wide else vectors.T @ (Z.T @ t) / np.sqrt(values)
    outside = max(0.0, t @ t - along @ along)
    errors = []
    for penalty in _PENALTIES:
        missed = penalty / (values + penalty)  # the share along each direction that is not fitted
        n_free = n_rows - 1 - np.sum(1 - missed)
        errors.append((np.sum(np.square(missed * along)) + outside) / max(n_free, 1e-3) ** 2)
    penalty = _PENALTIES[int(np.argmin(errors))]
    if is_wide:
        return Z.T @ (vectors @ (along / (values + penalty)))
    return vectors @ (along * np.sqrt(values) / (values + penalty))
