"""What several test files do with estimators."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning


def flat(model):
    """All weights and biases of a fitted estimator, in one vector."""
    return np.concatenate([np.ravel(w) for w in (*model.coefs_, *model.intercepts_)])


def fit_quietly(model, *args, **kwargs):
    """Fit, without a word where the limit of epochs ends training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*args, **kwargs)
