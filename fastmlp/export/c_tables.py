"""Models of tables in a file of C: from numbers and texts to predictions."""

from typing import Any

from ..tabular.levels import level_places
from ..tabular.pack.members import Pack, networks_of
from ..tabular.several import models_of
from .c_networks import lines_of_classes, lines_of_means, write_trained
from .c_source import CSource, number

_ARGUMENTS = "(const double *numbers, const char *const *texts, double *outputs)"


def write_table_model(source: CSource, model: Any, columns: dict[str, list[str]]) -> list[str]:
    """Add a model of a table, and return the statements that predict one row.

    Parameters
    ----------
    source : CSource
    model : TabularClassifier or TabularRegressor
    columns : dict
        The names of its 'numeric' and its 'text' columns.

    Returns
    -------
    list of str
        They set ``outputs``, and end by returning the number of a class, or 0.
    """
    models = models_of(model)
    lines = [] if columns["text"] else ["(void)texts;"]
    if columns["numeric"]:
        lines += [f"if (has_infinite(numbers, {len(columns['numeric'])}))", "    return -1;"]
    else:
        lines.append("(void)numbers;")
    for i, one in enumerate(models):
        _write_model(source, i, one)
    if len(models) == 1:
        return [*lines, "return predict_0(numbers, texts, outputs);"]
    calls = [f"predict_{i}(numbers, texts, outputs + {i});" for i in range(len(models))]
    return [*lines, *calls, "return 0;"]


def _write_model(source: CSource, i: int, model: Any) -> None:
    """Add the function that predicts one target, the number `i` in the order of targets."""
    fitted = model.estimator_
    n_networks = write_trained(source, f"networks_{i}", fitted)
    n_outputs = networks_of(fitted)[0].n_outputs_
    prepared = model.preprocessor_
    n_numbers, n_texts = len(prepared.centres_), len(prepared.levels_)
    n_inputs = max(stop for _, stop in prepared.groups_.values())
    means = lines_of_means(f"networks_{i}", n_networks, n_outputs)
    lines = [f"double scaled[{n_numbers}];"] if n_numbers else ["(void)numbers;"]
    lines += [] if n_texts else ["(void)texts;"]
    lines = [f"real inputs[{n_inputs}];", means[0], *lines, ""]
    lines += _write_inputs(source, i, prepared)
    lines += means[2:]
    if model._task == "classification":
        lines += lines_of_classes(n_outputs, getattr(model, "threshold_", None))
    else:
        factor, mean = number(model.target_scale_), number(model.target_mean_)
        # One network puts its quantiles in order before they are moved, and a pack does not.
        is_one = n_outputs > 1 and not isinstance(fitted, Pack)
        lines += [
            *([f"sort_numbers(means, {n_outputs});"] if is_one else []),
            f"for (int j = 0; j < {n_outputs}; j++)",
            f"    outputs[j] = means[j] * {factor} + {mean};",
        ]
        offsets = getattr(model, "quantile_offsets_", None)
        if offsets is not None:
            name = source.array(f"offsets_{i}", offsets)
            lines += [
                f"for (int j = 0; j < {n_outputs}; j++)",
                f"    outputs[j] += {name}[j];",
            ]
        if n_outputs > 1:
            lines.append(f"sort_numbers(outputs, {n_outputs});")
        lines.append("return 0;")
    source.function(f"static int predict_{i}{_ARGUMENTS}", lines)


def _write_inputs(source: CSource, i: int, prepared: Any) -> list[str]:
    """Add what a preprocessor has learned, and return the statements that make ``inputs``."""
    lines = []
    at = prepared.groups_["base"][0] + len(prepared.centres_) + len(prepared.indicator_columns_)
    if len(prepared.centres_):
        lines += _write_numbers(source, i, prepared)
    if prepared.levels_:
        lines.append(_write_texts(source, i, prepared, at))
    at += sum(table.shape[1] for table in (*prepared.level_inputs_, *prepared.level_means_))
    rows = []
    tables = zip(
        prepared.number_mean_columns_.tolist(),
        prepared.number_mean_values_,
        prepared.number_means_,
        strict=True,
    )
    for k, (column, values, means) in enumerate(tables):
        name = f"values_{i}_{k}"
        known = source.array(name, values, "float")
        of_means = source.array(f"{name}_means", means, "float")
        rows.append((column, len(values), known, means.shape[1], at, of_means))
        at += means.shape[1]
    if rows:
        source.table("Values", f"values_{i}", rows)
        lines.append(f"write_means(values_{i}, {len(rows)}, numbers, inputs);")
    return lines


def _write_numbers(source: CSource, i: int, prepared: Any) -> list[str]:
    """Add what becomes of numbers, and return the statements that compute it."""
    name, groups = f"numbers_{i}", prepared.groups_
    fills = source.array(f"{name}_fills", prepared.fill_values_)
    source.table(
        "Numbers",
        name,
        [
            (
                len(prepared.centres_),
                fills,
                source.array(f"{name}_centres", prepared.centres_),
                source.array(f"{name}_factors", prepared.scales_),
                source.array(f"{name}_binary", prepared.is_binary_, "int"),
                groups["base"][0],
                len(prepared.indicator_columns_),
                source.array(f"{name}_indicators", prepared.indicator_columns_, "int"),
                source.array(f"{name}_indicator_values", prepared.indicator_values_),
            )
        ],
    )
    lines = [f"write_numbers({name}, numbers, scaled, inputs);"]
    n_first = 0
    for group in ("tree", "bins"):
        start, stop = groups.get(group, (0, 0))
        chosen = slice(n_first, n_first + stop - start)
        n_first = chosen.stop
        if stop == start:
            continue
        pieces = f"{group}_{i}"
        columns = source.array(f"{pieces}_columns", prepared.piece_columns_[chosen], "int")
        starts = source.array(f"{pieces}_starts", prepared.piece_starts_[chosen])
        widths = source.array(f"{pieces}_widths", prepared.piece_widths_[chosen])
        source.table("Pieces", pieces, [(stop - start, start, columns, starts, widths)])
        lines.append(f"write_pieces({pieces}, numbers, scaled, inputs);")
    if len(chosen := prepared.linear_columns_):
        linear = f"linear_{i}"
        columns = source.array(f"{linear}_columns", chosen, "int")
        of_linear = source.array(f"{linear}_fills", prepared.fill_values_[chosen])
        means = source.array(f"{linear}_means", prepared.linear_means_)
        factors = source.array(f"{linear}_factors", prepared.linear_scales_)
        start = groups["linear"][0]
        row = len(chosen), start, columns, of_linear, means, factors
        source.table("Unlimited", linear, [row])
        lines.append(f"write_unlimited({linear}, numbers, inputs);")
    return lines


def _write_texts(source: CSource, i: int, prepared: Any, at: int) -> str:
    """Add the levels of text columns, whose inputs begin at `at`; return the statement."""
    rows = []
    at_means = at + sum(table.shape[1] for table in prepared.level_inputs_)
    tables = zip(prepared.levels_, prepared.level_inputs_, prepared.level_means_, strict=True)
    for k, (levels, inputs, means) in enumerate(tables):
        name = f"texts_{i}_{k}"
        # Texts are looked up without the blanks around them.
        places = {text: at for text, at in level_places(levels).items() if text == text.strip()}
        names = sorted(places, key=str.encode)
        rows.append(
            (
                len(names),
                source.strings(f"{name}_names", names, "text"),
                source.array(f"{name}_levels", [places[text] for text in names], "int"),
                len(levels),
                inputs.shape[1],
                at,
                len(inputs) - 1,
                source.array(f"{name}_inputs", inputs, "float"),
                means.shape[1],
                at_means,
                source.array(f"{name}_means", means, "float"),
            )
        )
        at += inputs.shape[1]
        at_means += means.shape[1]
    source.table("Text", f"texts_{i}", rows)
    return f"write_texts(texts_{i}, {len(rows)}, texts, inputs);"
