"""``fastmlp predict`` on a large CSV file, beside reading it: ``python -m benchmarks.files``."""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import pandas as pd

from fastmlp.tabular.chunks import ROWS_AT_ONCE
from fastmlp.tools.bench import hardware

RESULTS = Path(__file__).parent / "results"
MODELS = {
    "one network, (128, 64)": ["--hidden", "128,64"],
    "--effort low": ["--effort", "low"],
    "default": [],
}


def enlarge(path, target, megabytes):
    """Repeat the rows of a table until its file is large; return the number of rows."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        header, rows = file.readline(), file.read()
    times = max(1, round(megabytes * 1e6 / len(rows)))
    with open(target, "wb") as file:
        file.write(header)
        for _ in range(times):
            file.write(rows)
    return times * rows.count(b"\n")


def seconds_of(work):
    """Wall and CPU seconds of a call."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - cpu


def measure(large, small, model, turns):
    """Read a file, and predict its rows, in turn; return the medians."""
    from fastmlp_cli.main import main

    def read():
        for _ in pd.read_csv(large, chunksize=ROWS_AT_ONCE):
            pass

    def predict(table, *options):
        main(["predict", model, table, *options], standalone_mode=False)

    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.csv")
        predict(small, "-o", out)  # loads the kernels
        found = [
            (*seconds_of(read), *seconds_of(lambda: predict(large, "-o", out)))
            for _ in range(turns)
        ]
    return np.median(found, axis=0).tolist()


def measured_apart(turns, *paths):
    """Measure in a process of its own."""
    options = ["--measure", "--turns", str(turns)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.files", *options, *map(str, paths)],
        stdout=subprocess.PIPE, check=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def report(rows, turns):
    """The table of results."""
    first, second = hardware()
    runs = f"Medians of {turns} runs in turn" if turns > 1 else "One run"
    note = (
        f"{first}; {second}, pandas {version('pandas')}; {date.today()}. Reading is "
        f"pandas.read_csv, {ROWS_AT_ONCE} rows at a time. {runs}, in one process "
        "for each model."
    )
    head = ["table", "model", "MB", "rows", "reading, s", "predict, s", "x reading", "MB/s",
            "CPU s of reading", "CPU s of predict"]  # fmt: skip
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    lines.insert(1, "|" + "---|" * len(head))
    return f"# Predictions of a large file\n\n{note}\n\n" + "\n".join(lines) + "\n"


@click.command()
@click.argument("tables", nargs=-1, type=click.Path(path_type=Path, exists=True))
@click.option("--megabytes", default=300, show_default=True, help="Size of the file.")
@click.option("--models", default="0,1,2", show_default=True, help="Numbers of the models.")
@click.option("--turns", default=3, show_default=True, help="Runs of each.")
@click.option("--fitted-on", default=5000, show_default=True, help="Rows to train on.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where files are kept.")
@click.option("--measure", "is_apart", is_flag=True, hidden=True)
def main(tables, megabytes, models, turns, fitted_on, folder, is_apart):
    """Predict files that repeat the rows of TABLES, CSV files whose last column is the target.

    The table of the results goes to benchmarks/results/files.md.
    """
    if is_apart:
        click.echo(json.dumps(measure(*map(str, tables), turns)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = folder or Path(temporary)
        for table in tables:
            name = table.name.split(".csv")[0]
            large, small = folder / f"{name}-{megabytes}.csv", folder / f"{name}-small.csv"
            n_rows = enlarge(table, large, megabytes)
            pd.read_csv(table, nrows=fitted_on, dtype=str).to_csv(small, index=False)
            for model in [list(MODELS)[int(i)] for i in models.split(",")]:
                path = folder / f"{name}-{list(MODELS).index(model)}.fastmlp"
                if not path.exists():
                    command = [
                        sys.executable,
                        "-m",
                        "fastmlp_cli",
                        "fit",
                        str(small),
                        "-o",
                        str(path),
                    ]
                    subprocess.run([*command, *MODELS[model]], check=True, capture_output=True)
                read, read_cpu, wall, cpu = measured_apart(turns, large, small, path)
                size = large.stat().st_size / 1e6
                rows.append([
                    name, model, f"{size:.0f}", str(n_rows), f"{read:.2f}", f"{wall:.2f}",
                    f"{wall / read:.2f}", f"{size / wall:.0f}", f"{read_cpu:.2f}", f"{cpu:.2f}",
                ])  # fmt: skip
                click.echo(rows[-1], err=True)
    text = report(rows, turns)
    (RESULTS / "files.md").write_text(text)
    click.echo(text)


if __name__ == "__main__":
    main()
