"""Folders that MLflow loads as models, and the module by which it does.

MLflow itself is not needed to write them. It finds this module by its name in such a folder.
"""

import json
import platform
from os import PathLike
from pathlib import Path
from typing import Any

from .. import __version__
from ..estimators.base import BaseMLP
from ..exceptions import collected_warnings
from ..tabular.base import BaseTabular
from ..tabular.predictions import predictions
from .files import check_output_folder, folder_written_aside
from .model_file import load_model, save_model
from .others import exportable

_MODEL_FILE = "model.fastmlp"
# From this version on, MLflow knows columns of any type.
_REQUIREMENTS = (f"fastmlp=={__version__}", "mlflow>=2.20")
# The types of MLflow, by those of columns of predictions.
_TYPES = {
    "bool": "boolean", "int32": "integer", "int64": "long", "float32": "float", "float64": "double",
}  # fmt: skip


def export_mlflow(model: Any, path: str | PathLike[str]) -> None:
    """Write a fitted model as a folder that MLflow loads, serves and registers.

    ``mlflow.pyfunc.load_model(path).predict(frame)`` has the columns of ``fastmlp predict --proba``
    for the model of a table, and what ``predict`` returns for a network. It needs fastmlp where it
    is loaded. The signature lists the columns: text is ``string``, and numbers are ``any``, since
    a column of MLflow's type ``double`` refuses integers; the model reads them itself, and
    refuses what it cannot read. The folder appears whole or not at all.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor
        A fitted model.
    path : str or Path
        The folder, which is new or empty.

    Raises
    ------
    InputError
        When the folder cannot be made, or holds something.
    ModelFileError
        When the model cannot be saved, as one of another class.
    sklearn.exceptions.NotFittedError
        When the model has not been fitted.
    """
    check_output_folder(path)
    last = exportable(model, "export_mlflow")[1]
    python = platform.python_version()
    pip = "".join(f"  - {requirement}\n" for requirement in ("pip", "setuptools", "wheel"))
    listed = "".join(f"    - {requirement}\n" for requirement in _REQUIREMENTS)
    texts = {
        "MLmodel": _mlmodel(last, python),
        "requirements.txt": "".join(f"{requirement}\n" for requirement in _REQUIREMENTS),
        "python_env.yaml": f"python: {python}\nbuild_dependencies:\n{pip}"
        "dependencies:\n  - -r requirements.txt\n",
        "conda.yaml": "name: fastmlp\nchannels:\n  - conda-forge\ndependencies:\n"
        f"  - python={python}\n  - pip\n  - pip:\n{listed}",
    }
    with folder_written_aside(path) as aside:
        save_model(model, aside / _MODEL_FILE)
        for name, text in texts.items():
            (aside / name).write_text(text, encoding="ascii", newline="\n")


def _mlmodel(model: Any, python: str) -> str:
    """Return the text of the file that tells MLflow what is in the folder."""
    lines = [
        "flavors:",
        "  python_function:",
        f"    data: {_MODEL_FILE}",
        "    env:",
        "      conda: conda.yaml",
        "      virtualenv: python_env.yaml",
        f"    loader_module: {__name__}",
        f"    python_version: {python}",
    ]
    if inputs := _inputs(model):
        lines += ["signature:", f"  inputs: {_as_yaml(inputs)}"]
        if isinstance(model, BaseTabular):
            lines.append(f"  outputs: {_as_yaml(_outputs(model))}")
    return "\n".join([*lines, ""])


def _as_yaml(value: Any) -> str:
    """Write JSON as a text of YAML, in which one mark alone has a meaning."""
    text = json.dumps(value).replace("'", "''").replace("\x7f", "\\u007f")
    return f"'{text}'"


def _inputs(model: Any) -> list[dict[str, Any]]:
    """List the columns that a model reads; a network without names of features has none."""
    if isinstance(model, BaseMLP):
        names = getattr(model, "feature_names_in_", ())
        return [{"type": "any", "name": str(name), "required": True} for name in names]
    return [
        {
            "type": "string" if column["kind"] in ("text", "words") else "any",
            "name": str(column["name"]),
            "required": True,
        }
        for column in model.columns_
        if column["kind"] != "dropped"
    ]


def _outputs(model: Any) -> list[dict[str, Any]]:
    """List the columns of the predictions of a table's model."""
    row: Any = [{column["name"]: None for column in model.columns_}]
    with collected_warnings():
        found = predictions(model, row, proba=model._task == "classification")
    return [
        {"type": _TYPES.get(str(dtype), "string"), "name": str(name), "required": True}
        for name, dtype in found.dtypes.items()
    ]


def _load_pyfunc(path: str) -> Any:
    """Return what MLflow predicts with; `path` is that of the model file."""
    return _Predictor(load_model(Path(path)))


class _Predictor:
    """A model as MLflow calls it.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """Predict a table.

        Parameters
        ----------
        model_input : pandas.DataFrame
            For a network without names of features also an array.
        params : dict or None
            MLflow's; there are none.

        Returns
        -------
        pandas.DataFrame or ndarray
        """
        if isinstance(self.model, BaseTabular):
            return predictions(self.model, model_input, proba=self.model._task == "classification")
        return self.model.predict(model_input)
