"""Models of tables whose packs are put together by hand, of small networks of all kinds."""

import warnings

import numpy as np
from crafted import FRAME, LABELS, QUICK, ROWS

from fastmlp import (
    MLPClassifier,
    MLPRegressor,
    TabularClassifier,
    TabularPreprocessor,
    TabularRegressor,
)
from fastmlp.tabular.pack.kinds import KINDS
from fastmlp.tabular.pack.members import Member, Pack
from fastmlp.tabular.pack.training import make_small

N_FOLDS = 2
TABLE = FRAME.drop(columns="kind").assign(
    city=[f"city {i * i % 23}" for i in range(60)],
    flag=[float(i % 5 > 2) for i in range(60)],
    side=[("left", "right")[i % 11 > 5] for i in range(60)],
)
TARGETS = {"labels": LABELS, "two": LABELS == "no", "numbers": ROWS[:, 0]}


def fitted(name, **parameters):
    """Make a model of ``TABLE`` with a pack for one of the ``TARGETS``."""
    cls = TabularRegressor if name == "numbers" else TabularClassifier
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few epochs
        model = cls((3,), **QUICK, **parameters).fit(TABLE, TARGETS[name])
    return with_pack(model, TABLE, TARGETS[name])


def with_pack(model, frame, y, **encoding):
    """Put a pack in the place of the network of a model, which has been fitted to these rows.

    Parameters
    ----------
    model : TabularClassifier or TabularRegressor
    frame : pandas.DataFrame
    y : ndarray of shape (n_rows,)
    **encoding
        Parameters of the preprocessor, in the place of those with which it makes all groups.

    Returns
    -------
    TabularClassifier or TabularRegressor
        The same model.
    """
    is_class = hasattr(model, "classes_")
    classes, codes = np.unique(y, return_inverse=True)
    targets = codes if is_class else (y - model.target_mean_) / model.target_scale_
    given = {"n_bins": 5, "bin_edges": "both", "target_means": 2, "linear": True, **encoding}
    prepared = TabularPreprocessor(task=model._task, **given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = prepared.fit_transform(frame, y)
        members = [
            _member(kind, fold, is_class, inputs, targets, prepared.groups_)
            for kind in KINDS
            if {kind.first, kind.last} <= set(prepared.groups_)
            for fold in range(N_FOLDS)
        ]
    names = list(dict.fromkeys(member.kind for member in members))
    shares = np.arange(1, len(names) + 1) / sum(range(1, len(names) + 1))
    weights = dict(zip(names, shares.tolist(), strict=True))
    model.estimator_ = Pack(
        members,
        weights,
        classes=classes if is_class else None,
        bounds=None if is_class else (float(targets.min()), float(targets.max())),
        kinds=[
            {"kind": k, "weight": w, "folds": N_FOLDS, "loss": 0.5, "epochs": 3, "seconds": 0.1,
             "inputs": 3}
            for k, w in weights.items()
        ],
        loss=0.5,
        score=0.75,
    )  # fmt: skip
    model.preprocessor_, model.columns_ = prepared, prepared.columns_
    model.n_iter_ = model.estimator_.n_iter_
    return model


def _member(kind, fold, is_class, inputs, targets, groups):
    cls = MLPClassifier if is_class else MLPRegressor
    start, stop = kind.columns(groups)
    network = cls(
        hidden_layer_sizes=tuple(n // 32 for n in kind.hidden),
        activation=kind.activations[not is_class],
        max_iter=3,
        learning_rate_init=0.05,
        random_state=fold,
        diagnose=False,
    )
    rows = np.arange(len(inputs)) % 5 != fold
    network.fit(inputs[rows, start:stop], targets[rows])
    make_small(network)
    return Member(kind.name, fold, network, start, stop, 0.5, 0.1)
