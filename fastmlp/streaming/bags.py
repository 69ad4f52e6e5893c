"""Bags: several networks of one kind, each of which visits all shards, and whose mean predicts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..estimators.regression_targets import quantile_score
from ..tabular.metrics import classification_metrics, regression_metrics
from ..tabular.pack.members import Member, Pack, make_small, outputs_of
from ..tabular.pack.preparation import NETWORK
from ..tabular.pack.weighting import held_out_loss
from ..tabular.quantiles import as_columns, quantile_levels
from .dealing import Dealer


def seeds_of(seed: int, n_networks: int) -> list[int]:
    """Return the seed of each network of a bag: of the first that of the model.

    More networks do not change the seeds of the others.
    """
    others = np.random.SeedSequence(seed).generate_state(n_networks - 1)
    return [seed, *others.tolist()]


def bag_of(dealer: Dealer, networks: list[Any], held: NDArray[Any] | None) -> Pack:
    """Make a pack of trained networks, which are equal in weight.

    Parameters
    ----------
    dealer : Dealer
    networks : list of BaseMLP
        They forget what no prediction needs.
    held : ndarray or None
        Compact rows that the networks have not been trained on; None where there are none. Then
        losses and scores are those of the training.

    Returns
    -------
    Pack
    """
    classes, model = dealer.classes, dealer.model
    losses = [float(network.loss_) for network in networks]
    epochs = sum(int(network.n_iter_) for network in networks)
    seconds = [float(sum(network.history_.get("seconds", ()))) for network in networks]
    for network in networks:
        make_small(network)
    n_inputs = int(networks[0].coefs_[0].shape[0])
    members = [
        Member(NETWORK, i, network, 0, n_inputs, losses[i], seconds[i])
        for i, network in enumerate(networks)
    ]
    loss, score = float(np.mean(losses)), np.nan
    if held is not None:
        X, levels = dealer.inputs(held), quantile_levels(model)
        y = held["target"] if classes is not None else dealer.targets(held)
        predicted = [outputs_of(member, X, None) for member in members]
        scale = 1.0 if classes is not None else float(model.target_scale_)
        for member, outputs in zip(members, predicted, strict=True):
            member.score = held_out_loss(outputs, y, None, levels) * scale
        mean = np.mean(predicted, axis=0)
        loss = held_out_loss(mean, y, None, levels) * scale
        if levels:
            score = quantile_score(y, as_columns(mean), levels, None)
        elif classes is None:
            score = regression_metrics(y, mean)["r2"]
        else:
            score = classification_metrics(y, mean, np.arange(len(classes)))["accuracy"]
    described = {
        "kind": NETWORK,
        "weight": 1.0,
        "folds": len(members),
        "loss": loss,
        "epochs": epochs,
        "seconds": round(sum(seconds), 3),
        "inputs": n_inputs,
    }
    return Pack(
        members, {NETWORK: 1.0}, classes=classes, kinds=[described], loss=loss, score=float(score)
    )
