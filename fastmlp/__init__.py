"""scikit-learn's multilayer perceptron at the speed of the machine.

Importing this package is cheap: scikit-learn is imported when a name is first
used, numba when a network is first trained or asked for predictions.
"""

import importlib

__version__ = "0.1.0"

_HOME = {
    "MLPClassifier": "estimators.classifier",
    "MLPRegressor": "estimators.regressor",
    "check_gradient": "estimators.gradient_check",
    "warmup": "engines.cpu.warmup",
    "DivergenceError": "exceptions",
    "TabularModel": "tabular.model",
    "TrainingWarning": "exceptions",
    "export_onnx": "export.onnx",
    "fit_many": "estimators.fit_many",
    "from_sklearn": "estimators.conversion",
    "load_model": "export.model_file",
    "save_model": "export.model_file",
    "to_onnx": "export.onnx",
}

_MODULES = ("demos", "plotting")

__all__ = ["__version__", *_HOME, *_MODULES]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"fastmlp.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'fastmlp' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"fastmlp.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
