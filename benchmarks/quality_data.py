"""Tables, their splits, and how predictions are judged, for ``python -m benchmarks.quality``.

This module and `quality_peers.py` also run in the environment of the peers: they know nothing of
fastmlp.
"""

import csv
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, r2_score, roc_auc_score

KNOWN = Path(__file__).parent / "quality_tables.csv"
TEST_SHARE = 0.2
BINS = 15  # of the expected calibration error
ENDINGS = (".csv.gz", ".csv")


@dataclass(frozen=True)
class Table:
    """A file, what is predicted, and whether it is kept for the last look."""

    name: str
    path: Path
    target: str | None = None  # None: the last column
    task: str | None = None  # None: by the target's values
    kept: bool = False


@dataclass
class Split:
    """Rows to learn from and to judge by; classes are numbers from 0 on, all in `train_y`."""

    task: str
    train: pd.DataFrame
    train_y: np.ndarray
    test: pd.DataFrame
    test_y: np.ndarray
    n_classes: int


def find_tables(folder):
    """All tables of a folder by name, with what ``targets.csv`` in it or our own list says."""
    folder = Path(folder)
    rows = {}
    for source in (KNOWN, folder / "targets.csv"):
        if source.exists():
            with source.open(newline="") as lines:
                rows |= {row["name"]: row for row in csv.DictReader(lines)}
    tables = {}
    for path in sorted(folder.iterdir()):
        ending = next((e for e in ENDINGS if path.name.endswith(e)), None)
        if ending is None or path.name == "targets.csv":
            continue
        name = path.name.removesuffix(ending)
        row = rows.get(name, {})
        tables[name] = Table(
            name, path, row.get("target") or None, row.get("task") or None, bool(row.get("kept"))
        )
    return tables


def digest(table):
    """Of the file's content and what is predicted: a result belongs to these."""
    told = f"{table.target} {table.task}".encode()
    return f"{zlib.crc32(told, zlib.crc32(table.path.read_bytes())):08x}"


def read(table):
    """The columns, the target without gaps, and the task."""
    frame = pd.read_csv(table.path, low_memory=False)
    target = table.target or frame.columns[-1]
    if target not in frame:
        raise ValueError(f"{table.path}: there is no column {target!r}")
    frame = frame[frame[target].notna()].reset_index(drop=True)
    y = frame.pop(target)
    is_number = pd.api.types.is_numeric_dtype(y) and not pd.api.types.is_bool_dtype(y)
    task = table.task or ("regression" if is_number and y.nunique() > 2 else "classification")
    return frame, y, task


def stratified_order(labels, generator):
    """Positions in [0, 1) of the rows in an order whose every stretch has all classes' shares."""
    places = np.empty(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        places[generator.permutation(rows)] = (np.arange(len(rows)) + 0.5) / len(rows)
    return places


def split(frame, y, task, seed, most_rows):
    """A fifth to judge by, the rest to learn from, each at most `most_rows`, by class.

    A class of one or two rows is learned from only. Where rows are left out so that no training
    row of a class remains, its test rows are left out, too.
    """
    generator = np.random.default_rng(seed)
    values = y.astype(str).to_numpy() if task == "classification" else np.zeros(len(y))
    places = stratified_order(values, generator)
    order = np.lexsort((generator.random(len(y)), places))
    n_test = int(np.count_nonzero(places < TEST_SHARE))
    test, train = order[:n_test][:most_rows], order[n_test:][:most_rows]
    train, test = generator.permutation(train), generator.permutation(test)
    if task == "classification":
        classes, train_y = np.unique(values[train], return_inverse=True)
        test = test[np.isin(values[test], classes)]
        test_y = np.searchsorted(classes, values[test])
    else:
        numbers = y.to_numpy(np.float64)
        classes, train_y, test_y = [], numbers[train], numbers[test]
    return Split(
        task,
        frame.iloc[train].reset_index(drop=True),
        train_y,
        frame.iloc[test].reset_index(drop=True),
        test_y,
        len(classes),
    )


def calibration_error(probabilities, y):
    """Expected calibration error in bins of equal numbers of rows.

    With two classes it judges the probability of the second, with more that of the likeliest.
    """
    if probabilities.shape[1] == 2:
        said, happened = probabilities[:, 1], y == 1
    else:
        said, happened = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    order = np.argsort(said, kind="stable")
    bins = [b for b in np.array_split(order, BINS) if len(b)]
    return float(sum(abs(np.sum(said[b]) - np.sum(happened[b])) for b in bins) / len(y))


def judge(predicted, split):
    """The error that counts, and the figures beside it."""
    y = split.test_y
    predicted = np.asarray(predicted, dtype=np.float64)
    if not np.isfinite(predicted).all():
        raise ValueError("predictions are not finite")
    if split.task == "regression":
        predicted = predicted.ravel()
        deviation = float(np.std(y))
        return {
            "error": float(np.sqrt(np.mean((predicted - y) ** 2)) / deviation),
            "r2": float(r2_score(y, predicted)),
        }
    if predicted.shape != (len(y), split.n_classes):
        raise ValueError(f"probabilities have the shape {predicted.shape}")
    predicted = predicted / predicted.sum(axis=1, keepdims=True)
    loss = float(log_loss(y, predicted, labels=np.arange(split.n_classes)))
    is_binary = split.n_classes == 2
    hot = np.eye(split.n_classes)[y]
    return {
        "error": 1 - float(roc_auc_score(y, predicted[:, 1])) if is_binary else loss,
        "log_loss": loss,
        "accuracy": float(np.mean(predicted.argmax(axis=1) == y)),
        "calibration": calibration_error(predicted, y),
        "brier": float(np.mean(np.sum((predicted - hot) ** 2, axis=1)) / (1 + is_binary)),
    }
