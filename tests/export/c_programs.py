"""Exported files of C are compiled and called, and compared with the models they were made of."""

import ctypes
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from fastmlp import export_c

COMPILER = None if sys.platform == "win32" else shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no compiler of C, cc")
FLAGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O1"]
_DOUBLES = ctypes.POINTER(ctypes.c_double)


class Compiled:
    """A model that was exported to `folder` and compiled, and its arrays of names."""

    def __init__(self, model, folder):
        export_c(model, folder / "model.c")
        # A library that is loaded already would be found by its name.
        library = folder / f"model-{len(list(folder.iterdir()))}.so"
        command = [COMPILER, *FLAGS, "-shared", "-fPIC", "-o", library, folder / "model.c", "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        self._library = ctypes.CDLL(str(library))
        kinds = ("number", "text", "output")
        self.numbers, self.texts, self.outputs = (self._names(kind) for kind in kinds)

    def _names(self, kind):
        n = ctypes.c_int.in_dll(self._library, f"fastmlp_n_{kind}s").value
        names = (ctypes.c_char_p * (n + 1)).in_dll(self._library, f"fastmlp_{kind}_names")
        assert names[n] is None
        return [name.decode() for name in names[:n]]

    def predict(self, numbers, texts=None):
        """Return the numbers of classes, and outputs of shape (n_rows, n_outputs)."""
        numbers = np.ascontiguousarray(numbers, dtype=np.float64)
        outputs = np.full((len(numbers), len(self.outputs)), np.nan)
        found = []
        for i in range(len(numbers)):
            row = None if texts is None else (ctypes.c_char_p * len(texts[i]))(*texts[i])
            arrays = (array[i].ctypes.data_as(_DOUBLES) for array in (numbers, outputs))
            first, last = arrays
            found.append(self._library.fastmlp_predict(first, row, last))
        return np.array(found), outputs

    def predict_table(self, model, frame):
        """Predict the rows of a frame by a model of a table."""
        columns = {
            kind: [column["name"] for column in model.columns_ if column["kind"] == kind]
            for kind in ("numeric", "text")
        }
        assert [str(name) for name in columns["numeric"]] == self.numbers
        assert [str(name) for name in columns["text"]] == self.texts
        numbers = np.empty((len(frame), len(self.numbers)))
        for j, name in enumerate(columns["numeric"]):
            numbers[:, j] = frame[name].to_numpy(float, na_value=np.nan)
        texts = [
            [None if pd.isna(value) else str(value).encode() for value in row]
            for row in frame[columns["text"]].to_numpy(object)
        ]
        return self.predict(numbers, texts)


def check_equal(model, frame, folder):
    """Compare all predictions of a model of a table."""
    found, outputs = Compiled(model, folder).predict_table(model, frame)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of huge numbers, and of text that no row had
        predicted = model.predict(frame)
        expected = model.predict_proba(frame) if hasattr(model, "classes_") else predicted
    if hasattr(model, "classes_"):
        np.testing.assert_array_equal(model.classes_[found], predicted)
        np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-6)
        return
    assert not found.any()
    expected = expected.reshape(len(frame), -1)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-6 * np.std(expected))
