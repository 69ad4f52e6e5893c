"""``fastmlp fit``: train a network on a table and write the model."""

import os
from pathlib import Path
from typing import Any

import click

from .errors import Command, UserError, about, remark
from .models import check_model_path, check_no_models, is_checkpoint, save_trained, stem_of
from .options import (
    called,
    column_options,
    data_argument,
    opened,
    table_options,
    target_options,
)
from .report import check_report_path, report_of_fit
from .signals import forget_signals, signals_held
from .stream import fit_cluster, fit_stream
from .terminal import echo
from .types import FilePath, FiniteRange
from .values import further_parameters, integers, levels, names


@click.command(cls=Command)
@data_argument
@target_options
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
    callback=integers,
    metavar="N,...",
    help="Units of the hidden layers of a single network; '' for a linear model.",
)
@click.option(
    "--activation",
    callback=names,
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
    callback=levels,
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
    "--report",
    "report_path",
    type=FilePath(),
    metavar="FILE",
    help="Also write a page on the model, measured on the held-out rows. Needs the report extra.",
)
@click.option(
    "--set",
    "further",
    multiple=True,
    callback=further_parameters,
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
    "--refit",
    is_flag=True,
    help="Train the model that is written on all rows, after one was measured on the test rows.",
)
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
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Train on the cluster of Dask whose scheduler is there, such as tcp://host:8786. Needs "
    "the dask extra.",
)
@click.option("--quiet", is_flag=True, help="No progress bar and no remarks.")
@column_options
@table_options
def fit(
    data: tuple[str, ...],
    output: Path | None,
    report_path: Path | None,
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
    refit: bool,
    stream: bool,
    cache: Path | None,
    cluster: str | None,
    **parameters: Any,
) -> None:
    """Train a network, or a pack of several, on the table DATA and write the model.

    DATA is a file of CSV, which may be compressed, or of Parquet, or several of them with the same
    columns; - is standard input.
    Unless an option says what the network is like, networks of several kinds are trained and
    weighed by how well they predict rows that they have not seen. A further part of the rows is
    held out; the metrics printed are those on it, beside those of always predicting the mean or
    the class shares. With --refit a second model is then trained on all rows, in the same way,
    and written; Ctrl-C there keeps the first one.

    Ctrl-C ends the training early: what was learned so far is measured and written, and the
    exit code is 0. Before the end of the first epoch nothing is written, and it is 130. The
    signals SIGTERM and SIGHUP do the same. With --checkpoint they also leave the state of the
    training in that file, and the same command with --resume goes on with it: the model is the one
    that an uninterrupted training gives, bit for bit. kill -9 loses a minute at most.

    With --stream the table may be larger than the memory. It is read twice, and trains one network,
    since packs need the memory, or --members of one kind.

    With --cluster the workers of a cluster read the files, whose names have to be the same for all
    of them, and networks circulate over the rows in their memory: 8, unless an option says what a
    network is like or how many --members there are. The model is that of --stream with as many,
    and each goes on with the checkpoint of the other one. Where the cluster is lost, that of
    --cluster has each network at the end of an epoch.
    """
    from .output import (
        describe,
        print_json,
        print_kinds,
        print_metrics,
        print_rows,
        print_targets,
        remarks,
    )

    check_no_models(data)
    output = check_model_path(output or Path(stem_of(data[0]) + ".fastmlp"))
    files = [output, *map(Path, data)]
    if stream and cluster is not None:
        raise UserError("--stream is for one machine, and --cluster for several; leave out one")
    if stream or cluster is not None:
        flag = "--stream" if stream else "--cluster"
        _check_shards(flag, refit, report_path)
    if cache is not None and not stream:
        raise UserError("--cache needs the --stream whose rows it is for")
    if refit and checkpoint is not None:
        raise UserError("--checkpoint is of one training, and --refit needs two; leave out one")
    kept = _checkpoint(checkpoint, checkpoint_every, resume, files, quiet)
    if report_path is not None:
        check_report_path(report_path, [*files, *filter(None, [checkpoint])])
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
    parameters |= further
    if stream or cluster is not None:
        if parameters["effort"] == "default":
            del parameters["effort"]
        frame, options = None, {**reading, "checkpoint": kept, **parameters}
        if cluster is None:
            model = fit_stream(data, target, cache or output.parent, quiet, **options)
        else:
            model = fit_cluster(data, target, cluster, quiet, **options)
        if not target and not quiet:
            _remark_on_target(model.target_name_)
    else:
        frame, model = _fit_in_memory(
            data, target, quiet, reading, checkpoint=kept, refit=refit, **parameters
        )
    report = model.report_
    if report["interrupted"] and not report["epochs"]:
        _remark_on_resume(checkpoint)
        raise KeyboardInterrupt
    forget_signals()
    if not quiet:
        for line in remarks(model):
            remark(line)
    if report["interrupted"]:
        later = "; targets that were to follow have hardly been trained"
        remark(f"interrupted after {_trained(report)}{later if 'targets' in report else ''}")
        _remark_on_resume(checkpoint)
    with signals_held():
        save_trained(model, output)
        if checkpoint is not None and not report["interrupted"]:
            checkpoint.unlink(missing_ok=True)
    written = {"model": str(output)}
    if report_path is not None and report_of_fit(model, frame, report_path, output):
        written["report"] = str(report_path)
    if as_json:
        print_json({**report, **written})
        return
    print_rows([*describe(report), *written.items()])
    print_kinds(report)
    if "targets" in report:
        print_targets(report["targets"])
    elif "test" in report:
        echo()
        print_metrics(report["test"], report["baseline"])


def _fit_in_memory(
    data: tuple[str, ...],
    target: tuple[str, ...],
    quiet: bool,
    reading: dict[str, Any],
    **parameters: Any,
) -> tuple[Any, Any]:
    """Read a table as a whole, and train on it.

    Parameters
    ----------
    data, target : tuple of str
    quiet : bool
    reading : dict
        Options of :func:`fastmlp.tabular.csv.read_table`.
    **parameters
        Those of :func:`fastmlp.train_table`.

    Returns
    -------
    frame : pandas.DataFrame
    model : TabularClassifier or TabularRegressor
    """
    from fastmlp.tabular.csv import read_table

    from .progress import progress_bar

    task = parameters["task"] if len(target) < 2 else "regression"
    frame = read_table(opened(data), target=target or None, task=task, **reading)
    if not target and not quiet:
        _remark_on_target(frame.columns[-1])
    from fastmlp.tabular.train import train_table  # a file that cannot be read needs no more

    with about(Path(called(data)), frame), progress_bar(quiet) as callback:
        model = train_table(
            frame,
            list(target) or None,
            na_values=reading["na_values"],
            callback=callback,
            **parameters,
        )
    return frame, model


def _remark_on_target(name: Any) -> None:
    remark(f"target: {name!r}, the last column (choose with --target)")


def _remark_on_resume(checkpoint: Path | None) -> None:
    if checkpoint is not None and is_checkpoint(checkpoint):
        remark(f"--resume goes on with {checkpoint}")


def _check_shards(flag: str, refit: bool, report_path: Path | None) -> None:
    """Refuse what needs the table in memory, and cannot be used with a flag."""
    if refit:
        raise UserError(f"--refit cannot be used with {flag}; use --test-size 0 for all rows")
    if report_path is not None:
        raise UserError(
            f"--report cannot be used with {flag}; fastmlp report makes the page from the model "
            "and a table that the memory holds"
        )


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
