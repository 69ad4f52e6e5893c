"""The ``fastmlp`` command: parse, make one library call, print.

Results go to stdout, progress and remarks to stderr. Heavy imports wait until a command runs.
"""

import ast
import json
from pathlib import Path

import click

from .demo import demo
from .errors import Command, UserError, about, in_shell_words, remark
from .speed import bench, doctor, warmup


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="fastmlp", message="%(prog)s %(version)s")
def main():
    """Train multilayer perceptrons on tables, and use them.

    \b
    fastmlp fit data.csv             train on a CSV, the last column being the target
    fastmlp predict MODEL new.csv    predict the target of new rows
    fastmlp demo                     list classic experiments to run

    Results go to standard output, all else to standard error. Exit codes: 0 success, 1 a fault
    of this program, 2 a mistake in the input, 130 interrupted with nothing written.
    """


main.add_command(warmup)
main.add_command(bench)
main.add_command(doctor)
main.add_command(demo)


def _separator(context, parameter, text):
    text = "\t" if text in ("tab", r"\t") else text
    if len(text) != 1:
        raise click.BadParameter(f"{text!r} is not a single character")
    return text


def table_options(command):
    """Options of every command that reads a CSV file."""
    for option in (
        click.option("--na", "na_values", multiple=True, metavar="TEXT",
                     help="Further mark of a missing value, such as '?'. Can be repeated. A model "
                          "remembers those of its training."),
        click.option("--encoding", default="utf-8", show_default=True,
                     help="Character encoding of the file."),
        click.option("--sep", "separator", default=",", show_default=True, callback=_separator,
                     help="Character between fields; 'tab' for a tabulator."),
    ):  # fmt: skip
        command = option(command)
    return command


def _integers(context, parameter, text):
    try:
        values = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        values = (0,)
    if any(value < 1 for value in values):
        raise click.BadParameter(f"{text!r} is not a list of positive integers such as 100,50")
    return values


def _names(context, parameter, text):
    names = tuple(part.strip() for part in text.split(","))
    return names[0] if len(names) == 1 else names


def _value(text):
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return text


def _further_parameters(context, parameter, texts):
    """Pairs NAME=VALUE as a dict; a value is JSON or Python's, else text.

    A parameter that has a flag of its own cannot be given here, so that none is given twice.
    """
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{text!r} is not NAME=VALUE, such as dropout=0.2")
        name = name.strip()
        if name in found:
            raise click.BadParameter(f"{name!r} is set twice")
        if name in ("frame", "callback"):
            raise click.BadParameter(f"{name!r} is no parameter of a model")
        if (shown := in_shell_words(f"`{name}`", context.command)) != name:
            raise click.BadParameter(f"{name!r} is set by {shown}")
        found[name] = _value(value)
    return found


@main.command(cls=Command)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", metavar="COL", help="Target column.  [default: the last one]")
@click.option(
    "--task",
    type=click.Choice(["auto", "classification", "regression"]),
    default="auto",
    show_default=True,
    help="Kind of the target.",
)
@click.option(
    "--hidden",
    "hidden_layer_sizes",
    default="128,64",
    show_default=True,
    callback=_integers,
    metavar="N,...",
    help="Units of the hidden layers; '' for a linear model.",
)
@click.option(
    "--activation",
    default="relu",
    show_default=True,
    callback=_names,
    metavar="NAME,...",
    help="Activation of the hidden layers, or one for each: identity, logistic, tanh, relu, "
    "leaky_relu, elu, selu, gelu, silu, softplus.",
)
@click.option(
    "--epochs",
    "max_iter",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Most passes over the training rows.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Rows of a mini-batch.  [default: a fiftieth of them, 16 to 256]",
)
@click.option(
    "--learning-rate",
    "learning_rate_init",
    type=click.FloatRange(0, min_open=True),
    default=0.001,
    show_default=True,
    help="Adam's learning rate.",
)
@click.option(
    "--alpha", type=click.FloatRange(0), default=0.0001, show_default=True, help="L2 penalty."
)
@click.option(
    "--class-weight",
    type=click.Choice(["balanced"]),
    help="Make all classes count the same, however rare.",
)
@click.option(
    "--early-stopping/--no-early-stopping",
    default=None,
    help="Hold a tenth of the training rows out to stop in time.  [default: from 300 rows on]",
)
@click.option(
    "--test-size",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of rows held out for the test; 0 for none.",
)
@click.option(
    "--seed",
    "random_state",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the split, the initial weights and the shuffles.",
)
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "auto"]),
    default="cpu",
    show_default=True,
    help="Where to train; 'auto' takes an NVIDIA GPU for large work.",
)
@click.option("--jobs", "n_jobs", type=click.IntRange(1), help="Threads.  [default: all]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Model file.  [default: the name of DATA with the ending .fastmlp, here]",
)
@click.option(
    "--set",
    "further",
    multiple=True,
    callback=_further_parameters,
    metavar="NAME=VALUE",
    help="Any other parameter of MLPClassifier or MLPRegressor, such as dropout=0.2, "
    "lr_schedule=cosine or clip_norm=1. Can be repeated.",
)
@click.option("--quiet", is_flag=True, help="No progress bar and no remarks.")
@table_options
def fit(data, output, target, quiet, as_json, separator, encoding, na_values, further,
        **parameters):  # fmt: skip
    """Train a network on the CSV file DATA and write the model.

    Text columns are one-hot encoded, numbers standardised, missing values filled. A part of
    the rows is held out; the metrics printed are those on it, beside those of always
    predicting the mean or the class shares.

    Ctrl-C ends the training early: what was learned so far is measured and written, and the
    exit code is 0. Before the end of the first epoch nothing is written, and it is 130.
    """
    from fastmlp.export.model_file import save_model
    from fastmlp.tabular.csv import read_table
    from fastmlp.tabular.train import train_table

    from .output import describe, print_json, print_metrics, print_rows, remarks
    from .progress import epoch_bar

    output = _check_model_path(output or Path(_stem(data) + ".fastmlp"))
    # What is not given is left to the library's defaults.
    parameters = {name: value for name, value in parameters.items() if value is not None}
    frame = read_table(data, separator=separator, encoding=encoding, na_values=na_values)
    if target is None and not quiet:
        remark(f"target: {frame.columns[-1]!r}, the last column (choose with --target)")
    with about(data), epoch_bar(parameters["max_iter"], quiet) as callback:
        model = train_table(
            frame, target, na_values=na_values, callback=callback, **parameters, **further
        )
    report = model.report_
    if report["interrupted"] and not report["epochs"]:
        raise KeyboardInterrupt
    if not quiet:
        for line in remarks(model):
            remark(line)
    if report["interrupted"]:
        remark(f"interrupted after {report['epochs']} epochs; the weights are kept")
    save_model(model, output)
    if as_json:
        print_json({**report, "model": str(output)})
        return
    print_rows([*describe(report), ("model", str(output))])
    if "test" in report:
        click.echo()
        print_metrics(report["test"], report["baseline"])


@main.command(cls=Command)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="CSV file of the predictions.  [default: standard output]",
)
@click.option("--proba", is_flag=True, help="Print the probability of each class as well.")
@table_options
def predict(model, data, output, proba, as_json, separator, encoding, na_values):
    """Predict the target of every row of the CSV file DATA with MODEL."""
    import pandas as pd

    from fastmlp.export.files import check_output, written_aside
    from fastmlp.tabular.train import read_for

    from .output import print_json

    if output is not None:
        check_output(output)
        for source in (model, data):
            if output.exists() and source.exists() and output.samefile(source):
                raise UserError(f"{output}: this is read, too; choose another name with -o")
    path, model = model, _load_table_model(model)
    if proba and not hasattr(model, "predict_proba"):
        raise UserError(f"{path}: a regression model has no class probabilities")
    frame = read_for(model, data, separator=separator, encoding=encoding, na_values=na_values)
    with about(data):
        probabilities = model.predict_proba(frame) if proba else None
        name = "prediction" if model.target_name_ is None else model.target_name_
        result = pd.DataFrame({name: model.predict(frame)})
    if proba:
        columns = [f"probability_{name}" for name in model.classes_]
        result = result.join(pd.DataFrame(probabilities, columns=columns))
    if as_json:
        print_json({"predictions": result.to_dict("records")})
    if output is not None:
        with written_aside(output) as aside:
            result.to_csv(aside, index=False)
    elif not as_json:
        click.echo(result.to_csv(index=False), nl=False)


@main.command("evaluate", cls=Command)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@table_options
def evaluate_command(model, data, as_json, separator, encoding, na_values):
    """Measure MODEL on the CSV file DATA, which has the target column."""
    from fastmlp.tabular.train import evaluate, read_for

    from .output import print_json, print_metrics, print_rows

    model = _load_table_model(model)
    frame = read_for(model, data, separator=separator, encoding=encoding, na_values=na_values)
    with about(data):
        metrics = evaluate(model, frame)
    if as_json:
        print_json({"rows": len(frame), "target": model.target_name_, **metrics})
        return
    print_rows([("rows", str(len(frame))), ("target", model.target_name_)])
    click.echo()
    print_metrics(metrics, what="value")


@main.command(cls=Command)
@click.argument("model", type=click.Path(path_type=Path))
def info(model, as_json):
    """Say what the file MODEL holds."""
    from fastmlp.export.model_file import load_model, read_manifest

    from .output import describe, format_metrics, print_json, print_rows

    manifest = read_manifest(model)
    loaded = load_model(model)
    columns, report = getattr(loaded, "columns_", None), getattr(loaded, "report_", None)
    network = getattr(loaded, "estimator_", loaded)
    coefs = getattr(network, "coefs_", [])
    layers = [w.shape[0] for w in coefs[:1]] + [w.shape[1] for w in coefs]
    if as_json:
        print_json({**manifest, "layers": layers, "columns": columns, "report": report})
        return
    rows = [
        ("file", f"{model}, {model.stat().st_size / 1024:.0f} KiB, skops archive"),
        ("holds", manifest["holds"]),
        ("written", f"{manifest['created']} by fastmlp {manifest['fastmlp']}, "
                    f"scikit-learn {manifest['scikit-learn']}"),
    ]  # fmt: skip
    if report is None:
        rows.append(("network", "-".join(map(str, layers))))
    else:
        rows += describe(report)
        rows += [("test", format_metrics(report.get("test", {})))]
    if columns is not None:
        for kind in ("numeric", "text", "dropped"):
            names = [str(c["name"]) for c in columns if c["kind"] == kind]
            rows.append((kind, ", ".join(names)))
        if hasattr(loaded, "classes_"):
            rows.append(("classes", ", ".join(map(str, loaded.classes_))))
    print_rows(rows)


@main.command(cls=Command)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
def export(model, output, as_json):
    """Write MODEL as an ONNX graph to OUTPUT, preprocessing included.

    Each feature column is an input of shape (rows, 1): float64, not-a-number for what is
    missing, or strings. Needs the onnx extra: pip install 'fastmlp[onnx]'.
    """
    from fastmlp.export.files import check_output
    from fastmlp.export.model_file import load_model
    from fastmlp.export.onnx import export_onnx, is_onnx_file

    from .output import print_json, print_rows

    check_output(output)
    if output.exists() and output.stat().st_size and not is_onnx_file(output):
        raise UserError(f"{output}: exists and is not an ONNX file; choose another name")
    export_onnx(load_model(model), output)
    size = output.stat().st_size
    if as_json:
        print_json({"onnx": str(output), "bytes": size})
    else:
        print_rows([("onnx", f"{output}, {size / 1024:.0f} KiB")])


def _stem(data):
    name = data.name
    for ending in (".gz", ".bz2", ".xz", ".zip", ".csv", ".tsv", ".txt"):
        name = name.removesuffix(ending)
    return name or "model"


def _check_model_path(path):
    """Refuse a model file that could not be written, or that is something else by now."""
    from fastmlp.export.files import check_output

    check_output(path)
    if path.exists() and path.stat().st_size:  # in an empty file there is nothing to lose
        from fastmlp.exceptions import ModelFileError
        from fastmlp.export.model_file import read_manifest

        try:
            read_manifest(path)
        except ModelFileError as error:
            raise UserError(
                f"{path}: exists and is not a model of fastmlp; choose another name with -o"
            ) from error
    return path


def _load_table_model(path):
    from fastmlp.export.model_file import load_model

    model = load_model(path)
    if not hasattr(model, "target_name_"):
        raise UserError(
            f"{path}: holds a bare {type(model).__name__}, which predicts no target of a table; "
            "use it from Python"
        )
    return model
