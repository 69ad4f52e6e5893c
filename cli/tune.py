"""``fastmlp tune``: search for a better model of a table, and write it."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import click

from .errors import Command, UserError, about, remark
from .models import check_model_path, check_no_models, save_trained, stem_of
from .options import (
    called,
    column_options,
    data_argument,
    opened,
    table_options,
    target_options,
)
from .signals import forget_signals, signals_held
from .terminal import echo
from .types import Duration, FilePath, FiniteRange
from .values import further_parameters

_DEFAULT_SECONDS = 600.0
_METRICS = (
    "log_loss", "accuracy", "balanced_accuracy", "roc_auc", "r2", "rmse", "mae", "pinball_loss",
)  # fmt: skip


@click.command(cls=Command)
@data_argument
@target_options
@click.option(
    "--time",
    "time_limit",
    type=Duration(),
    metavar="TIME",
    help="Time for everything, such as 10m, 90s or 1h30m.  [default: 10m, unless --trials is "
    "given]",
)
@click.option(
    "--trials",
    "n_trials",
    type=click.IntRange(1),
    help="Number of candidates that are tried, those of an earlier --study included.",
)
@click.option(
    "--search",
    "searched",
    multiple=True,
    metavar="NAME=VALUES",
    help="Parameter that is searched, over a range A..B or A..B:log or choices A/B/C, such as "
    "learning_rate_init=1e-4..3e-2:log or hidden_layer_sizes=64/128,64. Can be repeated.  "
    "[default: a space by the task and the rows]",
)
@click.option(
    "--space",
    "space_file",
    type=FilePath(),
    help="TOML file with the same, a line for each parameter.",
)
@click.option(
    "--metric",
    "scoring",
    type=click.Choice(_METRICS),
    metavar="NAME",
    help="What is compared: log_loss, accuracy, balanced_accuracy, roc_auc, r2, rmse, mae or "
    "pinball_loss.  [default: log_loss for classes, r2 for numbers]",
)
@click.option(
    "--folds",
    "n_folds",
    type=click.IntRange(1),
    help="Folds that each candidate is measured on; 1 holds out one part.  [default: 5 below 500 "
    "rows, 3 below 2000, else 1]",
)
@click.option(
    "--study",
    type=FilePath(),
    help="File that keeps all candidates; the same command goes on with it, also after a kill -9, "
    "and several may share it.",
)
@click.option(
    "--test-size",
    type=FiniteRange(0, 1, max_open=True),
    default=0.2,
    show_default=True,
    help="Share of rows that no candidate sees, for the test of the best one; 0 for none.",
)
@click.option(
    "--seed",
    "random_state",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the split, of the search and of the training.",
)
@click.option(
    "--jobs",
    "n_jobs",
    type=click.IntRange(1),
    help="Candidates that are tried at a time; they share the processors.  [default: 1, or the "
    "number of threads of all workers with --cluster]",
)
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Try candidates on the cluster of Dask whose scheduler is there, such as "
    "tcp://host:8786. Needs the dask extra.",
)
@click.option(
    "-o",
    "--output",
    type=FilePath(),
    help="Model file.  [default: the name of DATA with the ending .fastmlp, here]",
)
@click.option("--csv", "csv_file", type=FilePath(), help="CSV file of all candidates.")
@click.option(
    "--set",
    "further",
    multiple=True,
    callback=further_parameters,
    metavar="NAME=VALUE",
    help="Parameter of TabularClassifier or TabularRegressor that all candidates have. Can be "
    "repeated.",
)
@click.option("--quiet", is_flag=True, help="No progress line and no remarks.")
@column_options
@table_options
def tune(
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
    time_limit: float | None,
    n_trials: int | None,
    searched: tuple[str, ...],
    space_file: Path | None,
    csv_file: Path | None,
    study: Path | None,
    cluster: str | None,
    further: dict[str, Any],
    **options: Any,
) -> None:
    """Search for a better model of the table DATA, and write the best one.

    DATA is a file of CSV, which may be compressed, or of Parquet, or several of them with the same
    columns; - is standard input.
    The first candidate is the model that fastmlp fit trains, so that the result is no worse. The
    others are single networks, whose parameters are drawn by what was good so far; most are given
    up after a few epochs. At the end the best one is trained on all rows but those for the test,
    which no candidate has seen, and measured on them. Needs the tune extra: pip install
    'fastmlp[tune]'.

    Ctrl-C ends the search: the best model so far is trained and written, and the exit code is 0.
    Again, or before there is one, it ends the command, nothing is written, and it is 130. A
    --study keeps all that was tried in any case.

    With --cluster candidates are tried on the workers of a cluster, which get the rows from here.
    The study stays here, and so does the training on all rows at the end.
    """
    from fastmlp.tabular.csv import read_table

    from .output import print_json
    from .progress import search_progress

    check_no_models(data)
    output = check_model_path(output or Path(stem_of(data[0]) + ".fastmlp"))
    space = _space(searched, space_file)
    _check_files(data, output, study, csv_file)
    if time_limit is None and n_trials is None:
        time_limit = _DEFAULT_SECONDS
    client = None if cluster is None else _connected(cluster)
    frame = read_table(
        opened(data),
        separator=separator,
        encoding=encoding,
        decimal=decimal,
        na_values=na_values,
        text=text,
        drop=drop,
        header=header,
        target=target or None,
        task=options["task"] if len(target) < 2 else "regression",
    )
    if not target and not quiet:
        remark(f"target: {frame.columns[-1]!r}, the last column (choose with --target)")
    from fastmlp.search.tables import tune_table

    with about(Path(called(data))), search_progress(quiet) as show:

        def told(event: Any) -> None:
            if event.is_final:  # Ctrl-C has been answered; another one is about the last fit
                forget_signals()
            if show is not None:
                show(event)

        result = tune_table(
            frame,
            list(target) or None,
            na_values=na_values,
            space=space,
            n_trials=n_trials,
            time_limit=time_limit,
            client=client,
            study=study,
            callback=told,
            **options,
            **further,
        )
    forget_signals()
    if not quiet:
        _remark(result, study)
    with signals_held():
        save_trained(result.best_estimator_, output)
        if csv_file is not None:
            _write_csv(result, csv_file)
    if as_json:
        print_json(_as_dict(result, output, csv_file))
    else:
        _print(result, output, csv_file)


def _connected(address: str) -> Any:
    """Return a client of a cluster, which is closed when the command ends."""
    from fastmlp.cluster.clients import connected

    return click.get_current_context().with_resource(connected(address))


def _space(searched: tuple[str, ...], path: Path | None) -> dict[str, Any] | None:
    """Return what is searched, or None where nothing is said of it."""
    if not searched and path is None:
        return None
    from fastmlp.search.space import space_of_file, space_of_texts

    of_file = {} if path is None else space_of_file(path)
    of_texts = space_of_texts(searched)
    twice = [name for name in of_texts if name in of_file]
    if twice:
        raise UserError(f"{twice[0]!r} is searched by --search, and by {path}; leave out one")
    return {**of_file, **of_texts}


def _check_files(
    data: tuple[str, ...], output: Path, study: Path | None, csv_file: Path | None
) -> None:
    """Refuse a file that has two parts in the command, before anything is done."""
    from fastmlp.export.files import check_output

    seen = {*map(os.path.realpath, data), os.path.realpath(output)}
    for path in (study, csv_file):
        if path is None:
            continue
        if os.path.realpath(path) in seen:
            raise UserError(f"{path}: this is another file of this command; choose another name")
        seen.add(os.path.realpath(path))
        if path is csv_file:
            check_output(path)


def _remark(result: Any, study: Path | None) -> None:
    """Say what the user should know of the search and of the model."""
    from .output import dropped_lines

    report = result.best_estimator_.report_
    if report["task_reason"]:
        remark(f"task: {report['task']}, {report['task_reason']} (choose with --task)")
    for line in dropped_lines(report["dropped_columns"]):
        remark(line)
    failed = [record for record in result.trials if record["state"] == "failed"]
    if failed:
        remark(f"{len(failed)} of {len(result.trials)} candidates failed: {failed[0]['error']}")
    if result.is_interrupted:
        remark("interrupted; the best candidate so far was trained")
        if study is not None:
            remark(f"the same command goes on with {study}")


def _print(result: Any, output: Path, csv_file: Path | None) -> None:
    """Print the candidates, and the model as ``fastmlp fit`` does."""
    from .output import (
        describe,
        print_candidates,
        print_metrics,
        print_rows,
        print_targets,
        shown_metric,
    )

    print_candidates(result)
    echo()
    report = result.best_estimator_.report_
    n_complete = sum(record["state"] == "complete" for record in result.trials)
    on = f"{result.n_folds} folds" if result.n_folds > 1 else "one part"
    rows = [
        ("trials", f"{len(result.trials)}, {n_complete} of them to the end"),
        ("scores", f"{shown_metric(result.scoring)} on {on} of the training rows"),
    ]
    rows += [row for row in describe(report) if row[0] != "seconds"]
    rows += [("seconds", f"{result.seconds:.1f}"), ("model", str(output))]
    print_rows([*rows, ("csv", "" if csv_file is None else str(csv_file))])
    if "targets" in report:
        print_targets(report["targets"])
    elif "test" in report:
        echo()
        print_metrics(report["test"], report["baseline"])


def _as_dict(result: Any, output: Path, csv_file: Path | None) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        **result.best_estimator_.report_,
        "metric": result.scoring,
        "folds": result.n_folds,
        "best_params": result.best_params_,
        "best_score": result.best_score_,
        "importances": result.importances_,
        "trials": result.trials,
        "search_interrupted": result.is_interrupted,
        "search_seconds": result.seconds,
        "model": str(output),
        **({} if csv_file is None else {"csv": str(csv_file)}),
    }


def _write_csv(result: Any, path: Path) -> None:
    """Write all candidates, one in a line, with a column for each parameter."""
    from fastmlp.export.files import written_aside
    from fastmlp.search.space import shown

    own = [name for name in result.trials[0] if name != "params"]
    params = list(dict.fromkeys(name for record in result.trials for name in record["params"]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*own, *params])
    for record in result.trials:
        values = record["params"]
        cells = ["" if record[name] is None else record[name] for name in own]
        writer.writerow([*cells, *(shown(values[n]) if n in values else "" for n in params)])
    with written_aside(path) as aside:
        aside.write_text(text.getvalue(), encoding="utf-8")
