"""What each option costs: a training step with it, beside one without, in turn."""

import time

import numpy as np

from fastmlp.tools.bench import CASES, QUIET, REPEATS, estimator_run

LETTER = next(case for case in CASES if case.name == "letter")
TABULAR = next(case for case in CASES if case.name == "tabular")
OPTIONS = {
    "sgd": {"solver": "sgd"},
    "adagrad": {"solver": "adagrad"},
    "rmsprop": {"solver": "rmsprop"},
    "adamw": {"solver": "adamw"},
    "nadam": {"solver": "nadam"},
    "logistic": {"activation": "logistic"},
    "tanh": {"activation": "tanh"},
    "leaky_relu": {"activation": "leaky_relu"},
    "elu": {"activation": "elu"},
    "selu": {"activation": "selu"},
    "gelu": {"activation": "gelu"},
    "silu": {"activation": "silu"},
    "softplus": {"activation": "softplus"},
    "margin loss": {"loss": "margin"},
    "label_smoothing": {"label_smoothing": 0.1},
    "dropout": {"dropout": 0.5},
    "alpha": {"alpha": 1e-4},
    "l1": {"l1": 1e-4},
    "clip_value": {"clip_value": 1.0},
    "clip_norm": {"clip_norm": 1.0},
    "max_norm": {"max_norm": 3.0},
    "lr_schedule": {"lr_schedule": "cosine"},
    "swa_start": {"swa_start": 1},
    "monitor": {"monitor": True},
}


def table(report):
    from fastmlp import MLPClassifier

    rows = [["option", *(f"{case.name}, us more" for case in (LETTER, TABULAR))]]
    more = {}
    for case in (LETTER, TABULAR):
        plain = estimator_run(MLPClassifier, case, "float32", diagnose=False)
        plain()
        for name, options in OPTIONS.items():
            run = estimator_run(MLPClassifier, case, "float32", diagnose=False, **options)
            run()
            times = []
            for _ in range(REPEATS):
                time.sleep(QUIET)
                times.append([(r()[0]) / case.n_steps * 1e6 for r in (plain, run)])
            without, with_it = np.median(times, axis=0)
            more[case.name, name] = np.median(np.diff(times, axis=1))
            report(f"{case.name}: {without:.1f} us a step, {with_it:.1f} with {name}")
            more.setdefault(case.name, []).append(without)
        rows[0] = [
            head.replace(f"{case.name},", f"{case.name} ({np.median(more[case.name]):.0f} us),")
            for head in rows[0]
        ]
    return rows + [
        [name, *(f"{more[case.name, name]:+.0f}" for case in (LETTER, TABULAR))] for name in OPTIONS
    ]
