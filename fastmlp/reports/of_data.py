"""What a table is like: its columns, its target, and what its owner should look at."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, ks_2samp
from sklearn.model_selection import cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from ..exceptions import DataError
from ..tabular.cells import numbers_of
from ..tabular.columns import called
from .blocks import Block, Cell, Grid, Heading, Notes, Row
from .figures import Drawing
from .quality import Evaluated
from .rows import Part, Subject, column_of, sample
from .svg import SERIES
from .texts import NONE, count, listed, number, percent, quoted, shown

_MOST_COLUMNS = 100  # in the table
_MOST_LOOKED_AT = 300  # for leaks and drift
_ROWS_OF_LEAKS = 2000
_ROWS_OF_DRIFT = 5000
_ALMOST_ALL = 0.985  # of what can be known of the target
_RARE = 0.05
_LEAST_DRIFT = 0.1
_MOST_BARS = 15


def data_blocks(
    subject: Subject, evaluated: Sequence[Evaluated], said: Sequence[str]
) -> list[Block]:
    """Show the target and the columns of a table, with warnings.

    Parameters
    ----------
    subject : Subject
    evaluated : sequence of Evaluated
        One for each target.
    said : sequence of str
        What the model had to say of the rows when it predicted them.

    Returns
    -------
    list
    """
    columns = subject.model.columns_
    warnings = [*_column_remarks(columns)]
    for one in evaluated:
        warnings += [*_target_remarks(one.part), *_leaks(subject, one.part)]
    warnings += [*said, *_repeated_rows(subject), *_drift(subject)]
    warnings = list(dict.fromkeys(warnings))
    blocks: list[Block] = []
    if warnings:
        blocks.append(Notes(warnings, is_warning=True))
    else:
        blocks.append(Notes(["Nothing was found that its owner should look at."]))
    blocks.append(Row([_target_figure(one.part) for one in evaluated[:3]]))
    blocks += [Heading("Columns"), _table(subject)]
    if len(columns) > _MOST_COLUMNS:
        left = len(columns) - _MOST_COLUMNS
        blocks.append(Notes([f"{count(left, 'further column')} of the model are not listed."]))
    return blocks


def _column_remarks(columns: Sequence[dict[str, Any]]) -> list[str]:
    """Say which columns were dropped and why, and what was noted of the others."""
    by_reason: dict[str, list[str]] = {}
    for column in columns:
        if column["kind"] == "dropped":
            by_reason.setdefault(column["reason"], []).append(quoted(column["name"], 30))
    remarks = [
        f"{'Column' if len(names) == 1 else 'Columns'} {listed(names)} "
        f"{'is' if len(names) == 1 else 'are'} not used: {shown(reason, 120)}."
        for reason, names in by_reason.items()
    ]
    remarks += [
        f"Column {quoted(column['name'], 30)} {shown(column['note'], 300)}."
        for column in columns
        if column["note"]
    ]
    return remarks


def _target_remarks(part: Part) -> list[str]:
    """Say which classes are rare."""
    if not part.classes:
        return []
    y = part.y if part.training is None else np.concatenate([part.training.y, part.y])
    counts = np.bincount(y[y >= 0], minlength=len(part.classes))
    shares = counts / max(1, counts.sum())
    rare = [k for k in np.argsort(counts, kind="stable") if shares[k] < _RARE]
    if not rare or shares.max() < 1.5 / len(part.classes):
        return []
    names = [
        f"{quoted(part.classes[k], 24)} ({percent(shares[k])}, {count(int(counts[k]), 'row')})"
        for k in rare
    ]
    return [
        f"The classes of {part.quoted} are unbalanced: {listed(names, 5)} "
        f"{'is' if len(rare) == 1 else 'are'} rare. Look at balanced accuracy and at the class "
        "itself, rather than at accuracy."
    ]


def _plain(subject: Subject, frame: pd.DataFrame, column: dict[str, Any]) -> pd.Series:
    """Return a column as numbers where the model takes it for such, else as text."""
    values = column_of(frame, column["name"])
    if column["kind"] == "numeric":
        form = column.get("number_format", "")
        try:
            numbers = numbers_of(values, form, called(column["name"]))
        except DataError:  # only a prediction must fail by it
            numbers = np.full(len(values), np.nan)
        return pd.Series(numbers, index=values.index)
    return values.astype(object).where(values.notna(), None).map(_stripped, na_action="ignore")


def _stripped(value: object) -> str:
    return str(value).strip()


def _leaks(subject: Subject, part: Part) -> list[str]:
    """Say which columns tell the target almost alone, by a small tree of each of them."""
    frame = subject.X if part.training is None else part.training.X
    y = part.y if part.training is None else part.training.y
    rows = sample(len(y), _ROWS_OF_LEAKS)
    rows = rows[y[rows] >= 0] if part.classes else rows
    if len(rows) < 30 or len(np.unique(y[rows])) < 2 or part.levels:
        return []
    some, known = frame.iloc[rows], y[rows]
    most = np.bincount(known).max() / len(known) if part.classes else 0.0
    found = []
    used = [c for c in subject.model.columns_ if c["kind"] in ("numeric", "text", "date")]
    for column in used[:_MOST_LOOKED_AT]:
        plain = _plain(subject, some, column)
        if column["kind"] == "numeric":
            codes = plain.to_numpy(dtype=np.float64)
        else:
            codes = pd.factorize(plain, sort=False)[0].astype(np.float64)
            if codes.max() > len(codes) / 3:  # an identifier tells every row it has seen
                continue
        alone = _known_alone(codes, known, bool(part.classes))
        share = (alone - most) / (1 - most) if part.classes else alone
        if share > _ALMOST_ALL and not column["note"]:
            found.append(quoted(column["name"], 30))
    if not found:
        return []
    one = len(found) == 1
    return [
        f"Column{'' if one else 's'} {listed(found)} {'tells' if one else 'tell'} "
        f"{part.quoted} almost alone. Leave {'it' if one else 'them'} out if "
        f"{'it is' if one else 'they are'} known only together with the target."
    ]


def _known_alone(codes: NDArray[np.float64], y: NDArray[Any], is_class: bool) -> float:
    """Return the accuracy, or R^2, of a small tree of one column on rows it has not seen."""
    inputs = np.nan_to_num(codes, nan=np.nanmin(codes, initial=0) - 1)[:, np.newaxis]
    tree = DecisionTreeClassifier if is_class else DecisionTreeRegressor
    model = tree(max_leaf_nodes=64, min_samples_leaf=3, random_state=0)
    # Folds of their own: scikit-learn's warn of classes with few rows.
    folds = np.random.default_rng(0).permutation(len(y)) % 3
    parts = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(3)]
    said = cross_val_predict(model, inputs, y, cv=parts)
    if is_class:
        return float(np.mean(said == y))
    return float(1 - np.mean((y - said) ** 2) / np.var(y))


def _repeated_rows(subject: Subject) -> list[str]:
    """Say how many rows occur more than once, and how many were trained on, too."""
    names = [column["name"] for column in subject.model.columns_]
    here = _hashes(subject.X, names)
    remarks = []
    n_repeated = int(pd.Series(here).duplicated().sum())
    if n_repeated:
        remarks.append(
            f"{count(n_repeated, 'row')} of the {len(here):,} that were measured "
            f"{'has' if n_repeated == 1 else 'have'} the columns of an earlier one."
        )
    if subject.X_train is not None:
        known = int(np.isin(here, _hashes(subject.X_train, names)).sum())
        if known:
            remarks.append(
                f"{count(known, 'row')} of the {len(here):,} that were measured "
                f"({percent(known / len(here))}) {'has' if known == 1 else 'have'} the columns of "
                "a row of the training: what is measured on them says little of new rows."
            )
    return remarks


def _hashes(frame: pd.DataFrame, names: Sequence[Any]) -> NDArray[np.uint64]:
    """Return a number for each row, which is the same where all of its columns are."""
    columns = [column_of(frame, name) for name in names if name in frame.columns]
    plain = {i: c.map(str) if c.dtype == object else c for i, c in enumerate(columns)}
    hashes = pd.util.hash_pandas_object(pd.DataFrame(plain), index=False)
    return hashes.to_numpy().astype(np.uint64)


def _drift(subject: Subject) -> list[str]:
    """Say which columns differ between the rows of the training and those that were measured."""
    if subject.X_train is None:
        return []
    before, after = (
        frame.iloc[sample(len(frame), _ROWS_OF_DRIFT)] for frame in (subject.X_train, subject.X)
    )
    used = [c for c in subject.model.columns_ if c["kind"] in ("numeric", "text", "date")]
    used = used[:_MOST_LOOKED_AT]
    found = []
    for column in used:
        old, new = (_plain(subject, frame, column) for frame in (before, after))
        size, chance = _difference(old, new, column["kind"] == "numeric")
        if chance < 0.001 / len(used) and size > _LEAST_DRIFT:
            found.append(quoted(column["name"], 30))
    if not found:
        return []
    return [
        f"Column{'' if len(found) == 1 else 's'} {listed(found)} "
        f"{'has' if len(found) == 1 else 'have'} other values here than in the training (drift): "
        "what is measured holds for rows like these."
    ]


def _difference(old: pd.Series, new: pd.Series, is_numeric: bool) -> tuple[float, float]:
    """Return how different two parts of a column are, from 0 to 1, and how likely by chance."""
    missing = old.isna().mean(), new.isna().mean()
    if is_numeric and abs(missing[0] - missing[1]) < _LEAST_DRIFT:
        old, new = old.dropna(), new.dropna()
        if len(old) < 5 or len(new) < 5:
            return 0.0, 1.0
        result = ks_2samp(old.to_numpy(), new.to_numpy(), method="asymp")
        return float(result.statistic), float(result.pvalue)
    if is_numeric:
        old, new = old.isna().astype(str), new.isna().astype(str)
    counts = pd.concat([old.value_counts(dropna=False), new.value_counts(dropna=False)], axis=1)
    table = counts.fillna(0).to_numpy(dtype=float)
    if len(table) > 50:  # the others together are one level
        order = np.argsort(-table.sum(axis=1), kind="stable")
        table = np.vstack([table[order[:49]], table[order[49:]].sum(axis=0)])
    if len(table) < 2 or not table.sum(axis=0).all():
        return 0.0, 1.0
    shares = table / table.sum(axis=0)
    chance = chi2_contingency(table, correction=False).pvalue
    return float(np.abs(shares[:, 0] - shares[:, 1]).sum() / 2), float(chance)


def _table(subject: Subject) -> Grid:
    frame = subject.X if subject.X_train is None else pd.concat([subject.X_train, subject.X])
    frame = frame.iloc[sample(len(frame), _ROWS_OF_DRIFT * 4)]
    rows = []
    for column in subject.model.columns_[:_MOST_COLUMNS]:
        name, kind = column["name"], column["kind"]
        if name not in frame.columns:
            rows.append([Cell(shown(name, 40), is_header=True), Cell(_KINDS[kind]),
                         Cell(NONE), Cell(NONE), Cell("not in this table")])  # fmt: skip
            continue
        plain = _plain(subject, frame, column)
        missing, n_distinct = float(plain.isna().mean()), int(plain.nunique())
        rows.append([
            Cell(shown(name, 40), is_header=True),
            Cell(_KINDS[kind]),
            Cell(percent(missing) if missing else "", key=missing),
            Cell(f"{n_distinct:,}", key=float(n_distinct)),
            Cell(_typical(plain, kind)),
        ])  # fmt: skip
    head = ["column", "kind", "missing", "different values", "typical values"]
    return Grid("The columns that the model was given", head, rows, {2, 3}, can_sort=True)


_KINDS = {
    "numeric": "number", "text": "text", "date": "date", "words": "free text",
    "dropped": "not used",
}  # fmt: skip


def _typical(plain: pd.Series, kind: str) -> str:
    """Describe the values of a column in a few words."""
    present = plain.dropna()
    if not len(present):
        return "none"
    if kind == "numeric":
        low, first, middle, third, high = np.quantile(present, [0, 0.25, 0.5, 0.75, 1])
        if present.nunique() > 2:
            return (
                f"{number(low)} to {number(high)}, half of them {number(first)} to "
                f"{number(third)}, median {number(middle)}"
            )
        return f"{number(low)} and {number(high)}, mean {number(present.mean())}"
    counts = present.value_counts()
    if kind in ("words", "date") or counts.iloc[0] == 1:
        return f"such as {quoted(present.iloc[0], 40)}"
    first = [f"{quoted(v, 20)} {percent(n / len(plain))}" for v, n in counts.head(3).items()]
    return ", ".join(first)


def _target_figure(part: Part) -> Any:
    parts = [("measured", part.y)]
    if part.training is not None:
        parts.insert(0, ("training", part.training.y))
    if part.classes:
        return _class_figure(part, parts)
    drawing = Drawing()
    edges = np.histogram_bin_edges(np.concatenate([y for _, y in parts]), bins=30)
    for series, (name, y) in enumerate(parts):
        counts = np.histogram(y, edges)[0] / len(y)
        drawing.ax.stairs(
            counts, edges, color=SERIES[series], linewidth=1.6,
            linestyle=("-", "--")[series], label=f"{name}, {count(len(y), 'row')}",
        )  # fmt: skip
    drawing.ax.set_xlabel(drawing.names.word(part.called, 40))
    drawing.ax.set_ylabel("share of rows")
    drawing.legend("above")
    y = parts[0][1]
    return drawing.picture(
        f"The target {part.quoted}",
        f"From {number(y.min())} to {number(y.max())}, with the median {number(np.median(y))}.",
        f"Histogram of {part.quoted}",
    )


def _class_figure(part: Part, parts: list[tuple[str, NDArray[Any]]]) -> Any:
    n_classes = len(part.classes)
    shares = [np.bincount(y[y >= 0], minlength=n_classes) / max(1, len(y)) for _, y in parts]
    order = np.argsort(-shares[0], kind="stable")[:_MOST_BARS]
    drawing = Drawing(height=max(1.9, 0.9 + 0.3 * len(order)))
    places = np.arange(len(order))
    thickness = 0.8 / len(parts)
    for series, ((name, y), share) in enumerate(zip(parts, shares, strict=True)):
        drawing.ax.barh(
            places + (series - (len(parts) - 1) / 2) * thickness, share[order], thickness,
            color=SERIES[series], label=f"{name}, {count(len(y), 'row')}",
        )  # fmt: skip
    words = [drawing.names.word(part.classes[k], 22) for k in order]
    drawing.ax.set_yticks(places, words)
    drawing.ax.set_ylim(len(order) - 0.4, -0.6)
    drawing.ax.grid(visible=False, axis="y")
    drawing.ax.locator_params(axis="x", nbins=4)
    drawing.ax.set_xlabel("share of rows")
    drawing.legend("above")
    more = "" if n_classes <= _MOST_BARS else f" The {_MOST_BARS} most frequent are shown."
    return drawing.picture(
        f"The target {part.quoted}",
        f"{count(n_classes, 'class', 'classes')}.{more}",
        "Shares of classes: "
        + ", ".join(f"{shown(part.classes[k], 24)} {percent(shares[0][k])}" for k in order[:5]),
    )
