"""The estimators that can be tuned: ours, and pipelines that end in one of ours."""

from typing import Any

from sklearn.pipeline import Pipeline

from ..estimators.base import BaseMLP
from ..tabular.base import BaseTabular
from ..tabular.pack.preparation import is_one_network


def final_of(estimator: Any) -> tuple[str, Any]:
    """Return the network in an estimator, and what the names of its parameters begin with.

    Parameters
    ----------
    estimator : estimator or Pipeline

    Returns
    -------
    prefix : str
        '' for an estimator, and such as 'mlpclassifier__' for the last step of a pipeline.
    final : MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor

    Raises
    ------
    TypeError
        When it is no estimator of this package, and no pipeline that ends in one.
    """
    prefix, final = "", estimator
    while isinstance(final, Pipeline):
        name, final = final.steps[-1]
        prefix += f"{name}__"
    if not isinstance(final, BaseMLP | BaseTabular):
        raise TypeError(
            "tune takes an MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor, or "
            f"a pipeline that ends in one, got {type(final).__name__}"
        )
    return prefix, final


def is_tabular(estimator: Any) -> bool:
    """Tell whether an estimator, or the end of a pipeline, takes tables."""
    return isinstance(final_of(estimator)[1], BaseTabular)


def is_pack(estimator: Any) -> bool:
    """Tell whether an estimator, or the end of a pipeline, trains networks of several kinds."""
    final = final_of(estimator)[1]
    return isinstance(final, BaseTabular) and not is_one_network(final)
