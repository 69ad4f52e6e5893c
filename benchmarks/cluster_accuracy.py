"""How good networks are that circulate over shards, beside networks that are trained in memory.

``python -m benchmarks.cluster_accuracy FILE...`` takes tables whose last column is the target, and
prints for each the score on a fifth of the rows: area under the ROC curve for two classes, else
accuracy or R^2. The networks that circulate are those of ``fastmlp fit --cluster``, which has the
bits of ``--stream``, so that no cluster is needed.
"""

import tempfile
import warnings
from pathlib import Path

import click
import numpy as np


def _score(model, test, name):
    from fastmlp.tabular.train import evaluate

    found = evaluate(model, test, name)
    return next(found[metric] for metric in ("roc_auc", "accuracy", "r2") if metric in found)


def _scores(path, target, n_epochs, n_networks, limit):
    """Return scores in memory, those of members, and that of their mean, for one table."""
    from fastmlp import TabularClassifier, TabularRegressor, train_files
    from fastmlp.streaming.rows import Purpose, are_within, drawn
    from fastmlp.tabular.csv import read_table

    frame = read_table(path, target=target)
    frame = frame.iloc[:limit]
    name = target or frame.columns[-1]
    is_test = are_within(drawn(0, len(frame), 0, Purpose.TEST), 0.2)
    train, test = frame[~is_test].reset_index(drop=True), frame[is_test]
    # The same in all ways but for the order in which rows are seen.
    options = {"hidden_layer_sizes": (128, 64), "max_iter": n_epochs, "early_stopping": False}
    options |= {"n_iter_no_change": n_epochs, "lr_schedule": "cosine", "batch_size": 128}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.parquet"
        train.to_parquet(file)
        bag = train_files(file, name, test_size=0, members=n_networks, **options)
    together = _score(bag, test, name)
    pack, apart = bag.estimator_, []
    for member in pack.members:
        pack.members = [member]
        apart.append(_score(bag, test, name))
    kind = TabularClassifier if bag._task == "classification" else TabularRegressor
    X = train.drop(columns=name)
    in_memory = [
        _score(kind(random_state=seed, **options).fit(X, train[name]), test, name)
        for seed in range(4)
    ]
    return in_memory, apart, together


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--target", help="The target column.  [default: the last one]")
@click.option("--epochs", default=12, show_default=True)
@click.option("--networks", default=8, show_default=True)
@click.option("--rows", default=200_000, show_default=True, help="Rows that are used at most.")
def main(files, target, epochs, networks, rows):
    """Compare networks on FILES."""
    warnings.simplefilter("ignore")
    click.echo("| table | in memory, mean of 4 seeds | circulating, mean | together |")
    click.echo("|---|---|---|---|")
    for path in files:
        memory, apart, together = _scores(path, target, epochs, networks, rows)
        shown = [f"{np.mean(one):.4f} ± {np.std(one, ddof=1):.4f}" for one in (memory, apart)]
        click.echo(f"| {Path(path).name} | {shown[0]} | {shown[1]} | {together:.4f} |")


if __name__ == "__main__":
    main()
