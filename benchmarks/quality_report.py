"""Ranks, ratios, wins and calibration over tables, as Markdown."""

from collections import defaultdict
from datetime import date

import numpy as np
from scipy.stats import binomtest, rankdata

CLIP = 0.4  # of the logarithm of a ratio of errors, so that no single table decides
LEAST = 1e-4  # smaller errors count as this in ratios: below it a few rows decide


def markdown(rows):
    """A table; the first row is its header."""
    header, *body = rows
    lines = ["| " + " | ".join(row) + " |" for row in (header, *body)]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join(lines)


def averages(found, labels):
    """Means over the seeds by model and table; infinite errors where a seed failed.

    Returns
    -------
    means : dict of (label, table) to dict of figures
        Only where all seeds that any model has of the table are there.
    """
    seeds = defaultdict(set)
    for _, table, seed in found:
        seeds[table].add(seed)
    means = {}
    for label in labels:
        for table, numbers in seeds.items():
            results = [found.get((label, table, seed)) for seed in sorted(numbers)]
            if any(result is None for result in results):
                continue
            failed = any("failed" in result for result in results)
            keys = results[0].keys() if not failed else ()
            figures = {
                key: float(np.mean([result[key] for result in results]))
                for key in keys
                if isinstance(results[0][key], float)
            }
            figures["task"] = results[0].get("task")
            means[label, table] = figures | ({"error": np.inf} if failed else {})
    return means


def compared(means, labels):
    """Tables that all models have, and their errors (n_tables, n_models); a failure is inf."""
    tables = sorted({table for _, table in means})
    whole = [table for table in tables if all((label, table) in means for label in labels)]
    errors = np.array([[means[label, t]["error"] for label in labels] for t in whole])
    return whole, errors.reshape(len(whole), len(labels)), [t for t in tables if t not in whole]


def filled(errors):
    """Errors for ratios: a failure counts as the table's worst, tiny ones as `LEAST`."""
    worst = np.max(np.where(np.isfinite(errors), errors, 0), axis=1, keepdims=True)
    return np.maximum(np.where(np.isfinite(errors), errors, worst), LEAST)


def ranks(errors):
    """Mean rank of each model, and the tables on which it is first (alone or with others)."""
    each = np.array([rankdata(row) for row in errors]).reshape(errors.shape)
    wins = np.sum(errors == errors.min(axis=1, keepdims=True), axis=0)
    return each.mean(axis=0), wins


def geometric(log_ratios, clip=np.inf):
    return float(np.exp(np.mean(np.clip(log_ratios, -clip, clip))))


def sign_test(ours, theirs):
    """Tables on which we are better, those that decide (no ties), and the two-sided p."""
    better, worse = int(np.sum(ours < theirs)), int(np.sum(ours > theirs))
    n = better + worse
    return better, n, float(binomtest(better, n).pvalue) if n else 1.0


def column(means, label, tables, key, reduce=np.median):
    values = [means[label, t][key] for t in tables if key in means[label, t]]
    return float(reduce(values)) if values else float("nan")


def shown(value, digits=3):
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def overview(means, labels, tables, errors):
    """One row a model."""
    logs = np.log(filled(errors))
    over_best = logs - logs.min(axis=1, keepdims=True)
    mean_ranks, wins = ranks(errors)
    header = ["model", "mean rank", "wins", "error / best", f"clipped at {CLIP}", "worst"]
    header += ["accuracy", "calibration error", "R2", "fit, s", "fit, CPU s", "predict, s"]
    rows = [header]
    for i in np.argsort(mean_ranks, kind="stable"):
        label, ratios = labels[i], over_best[:, i]
        rows.append(
            [
                label,
                f"{mean_ranks[i]:.2f}",
                str(wins[i]),
                f"{geometric(ratios):.3f}",
                f"{geometric(ratios, CLIP):.3f}",
                f"x{np.exp(ratios.max()):.2f}",
                shown(column(means, label, tables, "accuracy", np.mean)),
                shown(column(means, label, tables, "calibration", np.mean), 4),
                shown(column(means, label, tables, "r2", np.mean)),
                shown(column(means, label, tables, "seconds"), 2),
                shown(column(means, label, tables, "cpu_seconds"), 2),
                shown(column(means, label, tables, "predict_seconds"), 3),
            ]
        )
    return markdown(rows)


def against(means, labels, tables, errors, subject):
    """The subject beside each other model."""
    ours = labels.index(subject)
    logs = np.log(filled(errors))
    header = [f"{subject} against", "better on", "p", "error / its error", f"clipped at {CLIP}"]
    rows = [[*header, "worst", "calibration", "its calibration", "CPU time / its"]]
    for i, label in enumerate(labels):
        if i == ours:
            continue
        better, n, p = sign_test(errors[:, ours], errors[:, i])
        ratios = logs[:, ours] - logs[:, i]
        both = [t for t in tables if all("cpu_seconds" in means[x, t] for x in (subject, label))]
        classes = [t for t in both if "calibration" in means[subject, t]]
        spent = [means[subject, t]["cpu_seconds"] / means[label, t]["cpu_seconds"] for t in both]
        worst = int(np.argmax(ratios))
        rows.append(
            [
                label,
                f"{better} of {n}",
                f"{p:.3f}" if p >= 0.001 else f"{p:.1e}",
                f"{geometric(ratios):.3f}",
                f"{geometric(ratios, CLIP):.3f}",
                f"x{np.exp(ratios[worst]):.2f} ({tables[worst]})",
                shown(column(means, subject, classes, "calibration", np.mean), 4),
                shown(column(means, label, classes, "calibration", np.mean), 4),
                f"x{np.median(spent):.2f}" if spent else "-",
            ]
        )
    return markdown(rows)


def by_table(found, means, labels):
    """The errors of every table, the best in bold."""
    about = {table: value for (_, table, _), value in found.items() if "n_train" in value}
    rows = [["table", "task", "rows", "columns", *labels]]
    for table in sorted({table for _, table, _ in found}):
        value = about.get(table, {})
        n_classes = value.get("n_classes", 0)
        task = f"{n_classes} classes" if n_classes else "regression"
        errors = [means[x, table]["error"] if (x, table) in means else np.nan for x in labels]
        finite = [e for e in errors if np.isfinite(e)]
        row = [table, task, str(value.get("n_train", "")), str(value.get("n_columns", ""))]
        for error in errors:
            text = "failed" if np.isinf(error) else shown(error, 4)
            row.append(f"**{text}**" if finite and error == min(finite) else text)
        rows.append(row)
    return markdown(rows)


def remarks(found, labels, left_out, sources):
    """What a reader must know of failures, gaps and results of other sources."""
    lines = []
    for (label, table, seed), value in sorted(found.items()):
        if "failed" in value:
            lines.append(f"- {label} failed on {table} (seed {seed}): {value['failed']}")
    if left_out:
        lines.append(f"- Not compared, since not all models have run: {', '.join(left_out)}.")
    for label in labels:
        used = {v["sources"] for (x, _, _), v in found.items() if x == label and "sources" in v}
        if used - {sources}:
            kinds = "several states" if len(used) > 1 else "another state"
            lines.append(f"- {label} was measured with {kinds} of fastmlp's sources than these.")
    versions = sorted({value["version"] for value in found.values() if "version" in value})
    threads = sorted({str(value["threads"]) for value in found.values() if "threads" in value})
    if versions:
        lines.append(f"- With {', '.join(versions)}.")
    if threads:
        lines.append(f"- Number of threads: {', '.join(threads)}.")
    return "\n".join(lines)


def report(found, labels, subject, *, most_rows, sources):
    """The whole report.

    Parameters
    ----------
    found : dict of (label, table, seed) to dict
        Results as `quality_fit.carry_out` returns them.
    labels : list of str
        The models, in the order of columns.
    subject : str
        The model that is compared with each other one.
    most_rows : int
        Training rows at most; for the heading.
    sources : str
        Digest of fastmlp's sources at present.
    """
    labels = [x for x in labels if any(label == x for label, _, _ in found)]
    means = averages(found, labels)
    tables, errors, left_out = compared(means, labels)
    seeds = sorted({seed for _, _, seed in found})
    parts = [
        "# Models on real tables",
        f"{len(tables)} tables, {len(labels)} models, seeds {', '.join(map(str, seeds))}; at most "
        f"{most_rows} rows to learn from; {date.today()}. The error is 1 - AUC (two classes), the "
        "log loss (more), or the RMSE over the target's standard deviation. `before` is one "
        "network of (128, 64), the default of earlier versions. Seconds are medians.",
    ]
    if len(tables):
        parts.append(overview(means, labels, tables, errors))
        if subject in labels and len(labels) > 1:
            parts.append(f"## {subject} and each other model")
            parts.append(against(means, labels, tables, errors, subject))
    if notes := remarks(found, labels, left_out, sources):
        parts.append(notes)
    parts.append("## Errors")
    parts.append(by_table(found, means, labels))
    return "\n\n".join(parts) + "\n"
