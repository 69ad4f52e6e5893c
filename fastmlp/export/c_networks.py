"""Networks in a file of C: their layers, the mean of a pack, and what becomes of the outputs."""

from typing import Any

import numpy as np

from ..estimators.base import BaseMLP
from ..estimators.classifier import MLPClassifier
from ..estimators.planning import prediction_plan
from ..network.plan import Activation
from ..network.weights import checked
from ..tabular.pack.members import Pack, networks_of
from .c_source import CSource, number
from .others import scaler_operations

_OUTPUT_ACTIVATIONS = {
    "softmax": "activate_softmax",
    "logistic": "activate_logistic",
    "exp": "activate_exp",
    "identity": "NULL",
}


def real_of(trained: list[Any]) -> str:
    """Return the type of C in which networks, and those of packs, compute."""
    networks = [network for one in trained for network in networks_of(one)]
    return (
        "double"
        if any(prediction_plan(network).dtype == np.float64 for network in networks)
        else "float"
    )


def widest_layer(trained: list[Any]) -> int:
    """Return the number of units of the widest layer behind the inputs."""
    networks = [network for one in trained for network in networks_of(one)]
    return max(max(prediction_plan(network).layer_units[1:]) for network in networks)


def write_trained(source: CSource, name: str, trained: Any) -> int:
    """Add a network or a pack as a table of networks.

    Parameters
    ----------
    source : CSource
    name : str
        Of the table.
    trained : BaseMLP or Pack

    Returns
    -------
    int
        The number of networks.
    """
    if not isinstance(trained, Pack):
        layers, n_layers = _write_layers(source, f"{name}_0", trained)
        source.table("Network", name, [(layers, n_layers, 0, "1.0", "NULL", "NULL")])
        return 1
    bounds = "NULL"
    if trained.bounds is not None:
        bounds = source.array(f"{name}_bounds", trained.bounds)
    rows = []
    for i, (member, weight) in enumerate(
        zip(trained.members, trained.member_weights(), strict=True)
    ):
        layers, n_layers = _write_layers(source, f"{name}_{i}", member.network)
        log_target = "NULL"
        if member.log_target is not None:
            log_target = source.array(f"{name}_{i}_log_target", member.log_target)
        rows.append((layers, n_layers, member.start, number(weight), log_target, bounds))
    source.table("Network", name, rows)
    return len(rows)


def _write_layers(source: CSource, name: str, network: BaseMLP) -> tuple[str, int]:
    """Add the layers of a network; return the name of their table, and how many they are."""
    coefs, intercepts = checked(network.coefs_, network.intercepts_)
    names = [
        "NULL" if activation == Activation.IDENTITY else f"activate_{activation.name.lower()}"
        for activation in prediction_plan(network).activations
    ]
    names.append(_OUTPUT_ACTIVATIONS[network.out_activation_])
    rows = [
        (
            *w.shape,
            source.array(f"{name}_weights_{i}", w, "real"),
            source.array(f"{name}_biases_{i}", b, "real"),
            activate,
        )
        for i, (w, b, activate) in enumerate(zip(coefs, intercepts, names, strict=True))
    ]
    return source.table("Layer", f"{name}_layers", rows), len(rows)


def lines_of_means(name: str, n_networks: int, n_outputs: int) -> list[str]:
    """Return the statements that average the outputs of networks in ``means``."""
    return [
        f"double means[{n_outputs}] = {{0}};",
        "",
        f"for (int i = 0; i < {n_networks}; i++)",
        f"    add_network(&{name}[i], inputs, means, {n_outputs});",
    ]


def lines_of_classes(n_outputs: int, threshold: float | None) -> list[str]:
    """Return the statements that turn ``means`` into probabilities, and return the class."""
    if n_outputs > 1:
        return [
            f"for (int j = 0; j < {n_outputs}; j++)",
            "    outputs[j] = (real)means[j];",
            f"return index_of_largest(outputs, {n_outputs});",
        ]
    chosen = "index_of_largest(outputs, 2)"
    if threshold is not None:
        chosen = f"outputs[1] > (real){number(threshold)}"
    return [
        "outputs[0] = (real)(1 - means[0]);",
        "outputs[1] = (real)means[0];",
        f"return {chosen};",
    ]


def write_network_model(source: CSource, steps: list[Any], network: BaseMLP) -> list[str]:
    """Add the networks of an estimator, and return the statements that predict one row.

    Parameters
    ----------
    source : CSource
    steps : list
        Fitted scalers that stand before the network in a pipeline.
    network : MLPClassifier or MLPRegressor

    Returns
    -------
    list of str
        They set ``outputs``, and end by returning the number of a class, or 0.
    """
    n_inputs, n_outputs = network.n_features_in_, network.n_outputs_
    n_networks = write_trained(source, "networks", network)
    lines = [
        f"real inputs[{n_inputs}];",
        *lines_of_means("networks", n_networks, n_outputs)[:2],
        "(void)texts;",
        f"if (!are_finite(numbers, {n_inputs}))",
        "    return -1;",
        f"for (int j = 0; j < {n_inputs}; j++) {{",
        "    double x = numbers[j];",
        *(f"    {line}" for line in _lines_of_scalers(source, steps)),
        "    inputs[j] = (real)x;",
        "}",
        *lines_of_means("networks", n_networks, n_outputs)[2:],
    ]
    if isinstance(network, MLPClassifier) and not is_multilabel(network):
        return [*lines, *lines_of_classes(n_outputs, None)]
    lines += [f"for (int j = 0; j < {n_outputs}; j++)", "    outputs[j] = means[j];"]
    if not isinstance(network, MLPClassifier) and len(network._fitted_quantiles()) > 1:
        lines.append(f"sort_numbers(outputs, {n_outputs});")
    return [*lines, "return 0;"]


def is_multilabel(network: MLPClassifier) -> bool:
    """Tell whether each label of a classifier is true or not, whatever the others are."""
    return bool(network._label_binarizer.y_type_.startswith("multilabel"))


def _lines_of_scalers(source: CSource, steps: list[Any]) -> list[str]:
    """Return the statements that scale the number ``x`` of column ``j``."""
    lines = []
    for i, step in enumerate(steps):
        for k, (operation, values) in enumerate(scaler_operations(step)):
            if operation == "clip":
                lines.append(f"x = clip(x, {number(values[0])}, {number(values[1])});")
            else:
                sign = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}[operation]
                lines.append(f"x = x {sign} {source.array(f'scaler_{i}_{k}', values)}[j];")
    return lines
