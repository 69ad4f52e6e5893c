"""``fastmlp fit``: train a network on a table and write the model."""

import ast
import json
import os
import re
import warnings
from pathlib import Path
from typing import Any

import click

from .errors import Command, UserError, about, flag_of, remark
from .models import is_checkpoint, is_model
from .options import called, column_options, data_argument, opened, table_options
from .signals import forget_signals, signals_held
from .stream import fit_stream
from .terminal import echo
from .types import FilePath, FiniteRange

# The most units of a layer: what compiled code counts them in.
_MOST_UNITS = 2**31 - 1


def _integers(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[int, ...] | None:
    """Read the value of ``--hidden``, a list of positive integers that may be empty."""
    if text is None:
        return None
    try:
        values = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        values = (0,)
    if any(value < 1 for value in values):
        raise click.BadParameter(
            f"{_shortened(text)} is not a list of positive integers such as 100,50"
        )
    if any(value > _MOST_UNITS for value in values):
        raise click.BadParameter(f"{_shortened(text)} has a layer that is too large")
    return values


def _levels(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> float | tuple[float, ...] | None:
    """Read the value of ``--quantiles``, one level or several."""
    if text is None:
        return None
    try:
        levels = tuple(sorted({float(part) for part in text.split(",") if part.strip()}))
    except ValueError:
        levels = ()
    if not levels or not all(0 < level < 1 for level in levels):
        raise click.BadParameter(
            f"{_shortened(text)} is not a list of numbers between 0 and 1 such as 0.1,0.5,0.9"
        )
    return levels if len(levels) > 1 else levels[0]


def _shortened(text: str) -> str:
    """Quote what was typed, so that a very long text leaves room for what is wrong with it."""
    return repr(text if len(text) <= 100 else text[:100] + "...")


def _names(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> str | tuple[str, ...] | None:
    """Read the value of ``--activation``, one name or several."""
    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(","))
    return names[0] if len(names) == 1 else names


def _value(text: str) -> Any:
    """Read a value as JSON, as Python writes it, or else as text."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of Python on what it reads as its own text
        for read in (json.loads, ast.literal_eval):
            try:
                return read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue  # the last two come of brackets or signs by the thousand
    return text


def _further_parameters(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> dict[str, Any]:
    """Read the values of ``--set``, pairs NAME=VALUE.

    A parameter that has a flag of its own is refused here, so that none can be given twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{_shortened(text)} is not NAME=VALUE, such as dropout=0.2")
        name = name.strip()
        if name in found:
            raise click.BadParameter(f"{name!r} is set twice")
        if name in ("frame", "callback", "checkpoint"):
            raise click.BadParameter(f"{name!r} is no parameter of a model")
        if (flag := flag_of(name, context.command)) is not None:
            raise click.BadParameter(f"{name!r} is set by {flag}")
        found[name] = _value(value)
        if name == "learning_rate" and isinstance(found[name], int | float):
            flag = flag_of("learning_rate_init", context.command)
            raise click.BadParameter(f"'learning_rate' is a schedule; the rate is set by {flag}")
    return found


@click.command(cls=Command)
@data_argument
@click.option(
    "--target",
    multiple=True,
    metavar="COL",
    help="Target column; repeated for a regression of several.  [default: the last one]",
)
@click.option(
    "--task",
    type=click.Choice(["auto", "classification", "regression"]),
    default="auto",
    show_default=True,
    help="Kind of the target.",
)
@click.option(
    "--effort",
    type=click.Choice(["low", "default", "high"]),
    default="default",
    show_default=True,
    help="How much is tried where no option of a network is set: one network, a pack, or all.",
)
@click.option(
    "--members",
    type=click.IntRange(1),
    help="About how many networks there are at most.  [default: depends on the rows]",
)
@click.option(
    "--time-limit",
    type=FiniteRange(0, min_open=True),
    metavar="SECONDS",
    help="End the training in time, with what was learned until then.",
)
@click.option(
    "--hidden",
    "hidden_layer_sizes",
    callback=_integers,
    metavar="N,...",
    help="Units of the hidden layers of a single network; '' for a linear model.",
)
@click.option(
    "--activation",
    callback=_names,
    metavar="NAME,...",
    help="Activation of the hidden layers, or one for each: identity, logistic, tanh, relu, "
    "leaky_relu, elu, selu, gelu, silu, softplus.  [default: relu in a single network]",
)
@click.option(
    "--epochs",
    "max_iter",
    type=click.IntRange(1),
    help="Most passes of a single network over the training rows.  [default: 200]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    help="Rows of a mini-batch.  [default: a fiftieth of them, 16 to 256]",
)
@click.option(
    "--learning-rate",
    "learning_rate_init",
    type=FiniteRange(0, min_open=True),
    help="Initial learning rate of a single network, with any solver.  [default: 0.001]",
)
@click.option(
    "--alpha",
    type=FiniteRange(0),
    help="L2 penalty of a single network.  [default: 0.0001]",
)
@click.option(
    "--class-weight",
    type=click.Choice(["balanced"]),
    help="Make all classes count the same, however rare.",
)
@click.option(
    "--quantiles",
    callback=_levels,
    metavar="LEVEL,...",
    help="Predict quantiles instead of the mean, such as 0.1,0.5,0.9; a share of about each level "
    "of the rows lies below.",
)
@click.option(
    "--early-stopping/--no-early-stopping",
    default=None,
    help="Hold a tenth of the training rows out to stop in time.  [default: from 300 rows on]",
)
@click.option(
    "--test-size",
    type=FiniteRange(0, 1, max_open=True),
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
    type=FilePath(),
    help="Model file.  [default: the name of DATA with the ending .fastmlp, here]",
)
@click.option(
    "--set",
    "further",
    multiple=True,
    callback=_further_parameters,
    metavar="NAME=VALUE",
    help="Any other parameter of TabularClassifier or TabularRegressor, such as dropout=0.2, "
    "lr_schedule=cosine or clip_norm=1. Can be repeated.",
)
@click.option(
    "--checkpoint",
    type=FilePath(),
    help="File with which --resume goes on if the training is killed; removed at the end.",
)
@click.option(
    "--checkpoint-every",
    type=FiniteRange(0),
    metavar="SECONDS",
    help="The training that may be lost.  [default: 60]",
)
@click.option("--resume", is_flag=True, help="Go on with the file of --checkpoint, if it is there.")
@click.option(
    "--stream",
    is_flag=True,
    help="Read the table twice and train one network from the disk, for tables larger than the "
    "memory.",
)
@click.option(
    "--cache",
    type=FilePath(),
    metavar="DIR",
    help="Folder in which --stream keeps the rows while it trains.  [default: that of the model]",
)
@click.option("--quiet", is_flag=True, help="No progress bar and no remarks.")
@column_options
@table_options
def fit(
    data: tuple[str, ...],
    output: Path | None,
    target: tuple[str, ...],
    quiet: bool,
    as_json: bool,
    separator: str | None,
    encoding: str | None,
    decimal: str | None,
    header: bool | None,
    na_values: tuple[str, ...],
    text: tuple[str, ...],
    drop: tuple[str, ...],
    further: dict[str, Any],
    checkpoint: Path | None,
    checkpoint_every: float | None,
    resume: bool,
    stream: bool,
    cache: Path | None,
    **parameters: Any,
) -> None:
    """Train a network, or a pack of several, on the table DATA and write the model.

    DATA is a file of CSV, which may be compressed, or of Parquet, or several of them with the same
    columns; - is standard input.
    Unless an option says what the network is like, networks of several kinds are trained and
    weighed by how well they predict rows that they have not seen. A further part of the rows is
    held out; the metrics printed are those on it, beside those of always predicting the mean or
    the class shares.

    Ctrl-C ends the training early: what was learned so far is measured and written, and the
    exit code is 0. Before the end of the first epoch nothing is written, and it is 130. The
    signals SIGTERM and SIGHUP do the same. With --checkpoint they also leave the state of the
    training in that file, and the same command with --resume goes on with it: the model is the one
    that an uninterrupted training gives, bit for bit. kill -9 loses a minute at most.

    With --stream the table may be larger than the memory. It is read twice, and trains one network,
    since packs need the memory.
    """
    from fastmlp.tabular.csv import read_table

    from .output import (
        describe,
        print_json,
        print_kinds,
        print_metrics,
        print_rows,
        print_targets,
        remarks,
    )
    from .progress import progress_bar

    if cache is not None and not stream:
        raise UserError("--cache needs the --stream whose rows it is for")
    if stream and checkpoint is not None:
        raise UserError("--checkpoint cannot be used with --stream")
    for name in data:
        if is_model(Path(name)) or is_checkpoint(Path(name)):
            what = "model" if is_model(Path(name)) else "checkpoint"
            raise UserError(f"{name}: this is a {what}, and not a table to train on")
    output = _check_model_path(output or Path(_stem(data[0]) + ".fastmlp"))
    kept = _checkpoint(checkpoint, checkpoint_every, resume, [output, *map(Path, data)], quiet)
    # Options without a value are left to the library's defaults.
    parameters = {name: value for name, value in parameters.items() if value is not None}
    if "quantiles" in parameters:
        if further.get("loss", "quantile") != "quantile":
            raise UserError("--quantiles needs the loss 'quantile', and --set chooses another one")
        further = {**further, "loss": "quantile"}
    reading: dict[str, Any] = {
        "separator": separator,
        "encoding": encoding,
        "decimal": decimal,
        "na_values": na_values,
        "text": text,
        "drop": drop,
        "header": header,
    }
    if stream:
        if parameters["effort"] == "default":
            del parameters["effort"]
        folder = cache or output.parent
        model = fit_stream(data, target, folder, quiet, **reading, **parameters, **further)
        name = model.target_name_
    else:
        task = parameters["task"] if len(target) < 2 else "regression"
        frame = read_table(opened(data), target=target or None, task=task, **reading)
        name = frame.columns[-1]
    if not target and not quiet:
        remark(f"target: {name!r}, the last column (choose with --target)")
    if not stream:
        from fastmlp.tabular.train import train_table  # a file that cannot be read needs no more

        with about(Path(called(data))), progress_bar(quiet) as callback:
            model = train_table(
                frame,
                list(target) or None,
                na_values=na_values,
                callback=callback,
                checkpoint=kept,
                **parameters,
                **further,
            )
    report = model.report_
    if report["interrupted"] and not report["epochs"]:
        raise KeyboardInterrupt
    forget_signals()
    if not quiet:
        for line in remarks(model):
            remark(line)
    if report["interrupted"]:
        later = "; targets that were to follow have hardly been trained"
        remark(f"interrupted after {_trained(report)}{later if 'targets' in report else ''}")
        if checkpoint is not None and checkpoint.exists():
            remark(f"--resume goes on with {checkpoint}")
    with signals_held():
        _save(model, output)
        if checkpoint is not None and not report["interrupted"]:
            checkpoint.unlink(missing_ok=True)
    if as_json:
        print_json({**report, "model": str(output)})
        return
    print_rows([*describe(report), ("model", str(output))])
    print_kinds(report)
    if "targets" in report:
        print_targets(report["targets"])
    elif "test" in report:
        echo()
        print_metrics(report["test"], report["baseline"])


def _checkpoint(
    path: Path | None, every: float | None, resume: bool, others: list[Path], quiet: bool
) -> Any:
    """Return the checkpoint of a training, or None without one.

    Parameters
    ----------
    path : Path or None
    every : float or None
    resume : bool
        Whether to go on with the file, if there is one.
    others : list of Path
        What the command reads and writes beside it.
    quiet : bool

    Raises
    ------
    UserError
        When the file is one of the others, is no checkpoint, or is not to be gone on with.
    """
    if path is None:
        if resume:
            raise UserError("--resume needs the --checkpoint that it goes on with")
        if every is not None:
            raise UserError("--checkpoint-every needs the --checkpoint that it is about")
        return None
    from fastmlp import Checkpoint
    from fastmlp.export.checkpoint_file import check_path

    if os.path.realpath(path) in [os.path.realpath(other) for other in others]:
        raise UserError(f"{path}: this is another file of this command; choose another checkpoint")
    check_path(path)
    if is_checkpoint(path) and not resume:
        raise UserError(f"{path}: there is a checkpoint; go on with --resume, or remove it")
    if resume and not is_checkpoint(path) and not quiet:
        remark(f"{path}: there is no checkpoint yet, and the training begins")
    # It is kept until the model is written.
    return Checkpoint(path, keep=True) if every is None else Checkpoint(path, every, keep=True)


def _trained(report: dict[str, Any]) -> str:
    """Say how far an interrupted training has come."""
    from .output import n_trained

    if "networks" in report:
        n_networks = n_trained(report)
        return f"{n_networks} network{'s' * (n_networks > 1)} of a pack; they are kept"
    return f"{report['epochs']} epochs; the weights are kept"


def _save(model: Any, path: Path) -> None:
    """Write a model; if that fails, as on a full disk, write it to the temporary folder instead.

    Raises
    ------
    UserError
        When it is not at `path`; the message says why, and where it is.
    """
    import tempfile

    from fastmlp.exceptions import InputError, ModelFileError
    from fastmlp.export.model_file import save_model

    try:
        save_model(model, path)
    except ModelFileError:  # it cannot be written anywhere
        raise
    except (InputError, OSError) as error:
        handle, rescued = tempfile.mkstemp(prefix=f"{path.stem}-", suffix=".fastmlp")
        os.close(handle)
        try:
            save_model(model, rescued)
        except (InputError, OSError):
            os.unlink(rescued)
            raise error from None
        raise UserError(f"{error}; the trained model is in {rescued} instead") from error


_ENDINGS = (
    ".gz", ".bz2", ".xz", ".zip", ".zst", ".tar", ".csv", ".tsv", ".tab", ".txt", ".parquet",
)  # fmt: skip


def _stem(data: str) -> str:
    """Return the name of a data file without its endings; that of a pipe says nothing."""
    path = Path(data)
    name = "" if data == "-" or "/dev" in map(str, path.parents) else path.name
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    if not os.path.exists(data):  # of a pattern such as part-*.csv the first letters are left
        name = re.split(r"[*?\[]", name)[0].rstrip("-_. ")
    return name or "model"


def _check_model_path(path: Path) -> Path:
    """Return a path, if a model can be written there without replacing another kind of file."""
    from fastmlp.export.files import check_output

    check_output(path)
    # An empty file may be replaced.
    if path.exists() and path.stat().st_size and not is_model(path):
        raise UserError(
            f"{path}: exists and is not a model of fastmlp; choose another name with -o"
        )
    return path
