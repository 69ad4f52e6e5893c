"""scikit-learn's multilayer perceptron at the speed of the machine.

Importing this package is cheap: scikit-learn is imported when a name is first
used. numba is imported only where it has to compile something.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    # What a type checker and an editor see; at run time ``__getattr__`` imports each when used.
    from . import demos, exceptions, plotting, schedules
    from .engines.cpu.warmup import warmup
    from .estimators.classifier import MLPClassifier
    from .estimators.fit_many import fit_many
    from .estimators.gradient_check import check_gradient
    from .estimators.interop import from_sklearn
    from .estimators.regressor import MLPRegressor
    from .estimators.trace import Trace, trace
    from .exceptions import (
        ClusterError,
        CustomLossError,
        DataError,
        DataWarning,
        DeviceError,
        DivergenceError,
        InputError,
        InterruptedTrainingWarning,
        ModelFileError,
        TrainingWarning,
    )
    from .export.c_code import export_c, to_c
    from .export.mlflow import export_mlflow
    from .export.model_file import load_model, save_model
    from .export.onnx import export_onnx, to_onnx
    from .export.triton import export_triton
    from .reports.writing import write_report
    from .search.tune import tune
    from .streaming.fit import train_files
    from .tabular.classifier import TabularClassifier
    from .tabular.input_gradients import input_gradients
    from .tabular.preprocessing import TabularPreprocessor
    from .tabular.regressor import TabularRegressor
    from .tabular.train import train_table
    from .training.checkpoint import Checkpoint
    from .training.history import Epoch

_HOME = {
    "Checkpoint": "training.checkpoint",
    "ClusterError": "exceptions",
    "CustomLossError": "exceptions",
    "DataError": "exceptions",
    "DataWarning": "exceptions",
    "DeviceError": "exceptions",
    "DivergenceError": "exceptions",
    "Epoch": "training.history",
    "InputError": "exceptions",
    "InterruptedTrainingWarning": "exceptions",
    "MLPClassifier": "estimators.classifier",
    "MLPRegressor": "estimators.regressor",
    "ModelFileError": "exceptions",
    "TabularClassifier": "tabular.classifier",
    "TabularPreprocessor": "tabular.preprocessing",
    "TabularRegressor": "tabular.regressor",
    "Trace": "estimators.trace",
    "TrainingWarning": "exceptions",
    "check_gradient": "estimators.gradient_check",
    "export_c": "export.c_code",
    "export_mlflow": "export.mlflow",
    "export_onnx": "export.onnx",
    "export_triton": "export.triton",
    "fit_many": "estimators.fit_many",
    "from_sklearn": "estimators.interop",
    "input_gradients": "tabular.input_gradients",
    "load_model": "export.model_file",
    "save_model": "export.model_file",
    "to_c": "export.c_code",
    "to_onnx": "export.onnx",
    "trace": "estimators.trace",
    "train_files": "streaming.fit",
    "train_table": "tabular.train",
    "tune": "search.tune",
    "warmup": "engines.cpu.warmup",
    "write_report": "reports.writing",
}

# What pickles and model files name beside the public classes.
_IN_FILES = {
    "KeptFit": "training.checkpoint",
    "Member": "tabular.pack.members",
    "OptimizerState": "training.history",
    "Pack": "tabular.pack.members",
    "TrainingState": "training.checkpoint",
}

_MODULES = ("demos", "exceptions", "plotting", "schedules")

# Written out, as type checkers read it and run nothing.
__all__ = [
    "Checkpoint",
    "ClusterError",
    "CustomLossError",
    "DataError",
    "DataWarning",
    "DeviceError",
    "DivergenceError",
    "Epoch",
    "InputError",
    "InterruptedTrainingWarning",
    "MLPClassifier",
    "MLPRegressor",
    "ModelFileError",
    "TabularClassifier",
    "TabularPreprocessor",
    "TabularRegressor",
    "Trace",
    "TrainingWarning",
    "__version__",
    "check_gradient",
    "demos",
    "exceptions",
    "export_c",
    "export_mlflow",
    "export_onnx",
    "export_triton",
    "fit_many",
    "from_sklearn",
    "input_gradients",
    "load_model",
    "plotting",
    "save_model",
    "schedules",
    "to_c",
    "to_onnx",
    "trace",
    "train_files",
    "train_table",
    "tune",
    "warmup",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fastmlp.{name}")
    home = _HOME.get(name) or _IN_FILES.get(name)
    if home is None:
        raise AttributeError(f"module 'fastmlp' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"fastmlp.{home}")
    except AttributeError as error:  # it would read as if there were no such name
        raise ImportError(f"fastmlp.{home} cannot be imported: {error}") from error
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
