"""The space that is searched where the user has named none, by the task and the number of rows."""

from typing import Any

from sklearn.base import is_classifier

from .models import final_of, is_tabular

_FEW_ROWS, _MANY_ROWS = 2_000, 20_000


def own_space(estimator: Any, n_rows: int) -> dict[str, str]:
    """Return the space for an estimator and so many rows.

    Parameters that the estimator has been given are not searched.

    Parameters
    ----------
    estimator : estimator
    n_rows : int

    Returns
    -------
    dict of str to str
        As people write it.
    """
    prefix, final = final_of(estimator)
    if n_rows < _FEW_ROWS:
        hidden, batch = "32/64/128/64,32/128,64/128,128", "16/32/64/128"
    elif n_rows < _MANY_ROWS:
        hidden, batch = "64/128/128,64/256,64/256,128/256,256/128,128,128", "32/64/128/256"
    else:
        hidden, batch = "128/128,64/256,128/256,256/512,256/256,256,256", "128/256/512/1024"
    space = {
        "hidden_layer_sizes": hidden,
        "learning_rate_init": "3e-4..2e-2:log",
        "batch_size": batch,
        "alpha": "1e-6..1e-1:log",
        "dropout": "0..0.4",
        "activation": "relu/silu/selu/tanh",
        "lr_schedule": "none/cosine",
    }
    if final.solver not in ("auto", "adam", "adamw", "nadam"):
        for name in ("learning_rate_init", "batch_size", "dropout", "lr_schedule"):
            if final.solver == "lbfgs" or (name == "batch_size" and final.solver == "gd"):
                del space[name]
    if is_classifier(final) and final.loss == "log_loss":
        space["label_smoothing"] = "0..0.1"
    if not is_tabular(final):
        space["early_stopping"] = "false/true"
    defaults = type(final)().get_params()
    given = final.get_params()
    return {
        prefix + name: values
        for name, values in space.items()
        if repr(given[name]) == repr(defaults[name])
    }
