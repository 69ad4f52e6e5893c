"""Fit one model on one table and judge it: ``python -m benchmarks.quality_fit JOB``.

A process of its own, in fastmlp's environment or the peers'. JOB is JSON; so is what is printed
last.
"""

import json
import os
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

from . import quality_data, quality_peers

# What differs from a default describes one network, as does this, which its optimiser never uses.
ONE_NETWORK = {"hidden_layer_sizes": (128, 64), "power_t": 0.4}


def fastmlp(split, seed, threads, **parameters):
    """The tabular estimators, all defaults but seed and threads, or the `parameters` given."""
    from fastmlp import TabularClassifier, TabularRegressor

    kind = TabularClassifier if split.task == "classification" else TabularRegressor
    model = kind(**{"random_state": seed, "n_jobs": threads} | parameters)
    return quality_peers.runs(model, split.train, split.train_y, split.test)


def before(split, seed, threads):
    """One network of the default size: what the default was before it became several."""
    return fastmlp(split, seed, threads, **ONE_NETWORK)


OURS = {"fastmlp": fastmlp, "before": before}


def times():
    """Wall and CPU seconds, those of finished child processes among them."""
    cpu = os.times()
    return time.perf_counter(), sum(cpu[:4])


def measured(function):
    wall, cpu = times()
    value = function()
    later_wall, later_cpu = times()
    return value, later_wall - wall, later_cpu - cpu


def carry_out(job):
    """The result of a job as a dict: figures, or `failed` with the error."""
    table = quality_data.Table(
        job["table"], Path(job["path"]), job["target"] or None, job["task"] or None
    )
    model = OURS.get(job["model"]) or quality_peers.PEERS[job["model"]][0]
    split = quality_data.split(*quality_data.read(table), job["seed"], job["most_rows"])
    needs = quality_peers.PEERS.get(job["model"], (None, None))[1] or "scikit-learn"
    about = {
        "version": f"{needs} {version(needs)}",
        "task": split.task,
        "n_classes": split.n_classes,
        "n_train": len(split.train),
        "n_test": len(split.test),
        "n_columns": split.train.shape[1],
    }
    try:
        fit, predict = model(split, job["seed"], job["threads"], **job["parameters"])
        _, seconds, cpu_seconds = measured(fit)
        predicted, predict_seconds, _ = measured(predict)
        return about | {
            **quality_data.judge(predicted, split),
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "predict_seconds": predict_seconds,
        }
    except Exception as error:
        return about | {"failed": f"{type(error).__name__}: {error}"[:500]}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    job = json.loads(sys.argv[1])
    print("\n" + json.dumps(carry_out(job)))
