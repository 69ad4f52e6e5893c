"""A graph of ONNX that grows node by node."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from .. import __version__
from ..exceptions import InputError

_OPSETS = {"": 17, "ai.onnx.ml": 3}
_LARGEST_FILE = 2**31 - 2**20  # of protobuf, which ONNX is written in


def import_onnx() -> Any:
    """Import the package onnx; raise InputError if it is not installed."""
    try:
        import onnx
    except ImportError:
        raise InputError(
            "ONNX export needs the package onnx; install it with: pip install 'fastmlp[onnx]'"
        ) from None
    return onnx


class Graph:
    """A graph that grows by nodes, constants, inputs and outputs.

    Values in the graph are known by their names, which the methods take and return.

    Parameters
    ----------
    onnx : module
        The package onnx, which need not be installed before.
    """

    def __init__(self, onnx: Any) -> None:
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._n_bytes = 0
        # Names that nothing new may have; the empty name is not allowed.
        self._names = {""}

    def _type(self, dtype: DTypeLike) -> Any:
        if np.dtype(dtype).kind in "OUS":
            return self._onnx.TensorProto.STRING
        return self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def _value(self, name: str, dtype: DTypeLike, shape: Sequence[int | str]) -> Any:
        return self._onnx.helper.make_tensor_value_info(name, self._type(dtype), shape)

    def _unused(self, name: str) -> str:
        """Append underscores to a name until no input has it."""
        while name in self._names:
            name += "_"
        return name

    def reserve(self, names: Iterable[str]) -> None:
        """Reserve the names of all inputs, so that nothing else gets them."""
        for name in names:
            if name in self._names:
                raise InputError(
                    f"column name {name!r} is empty or occurs twice as text; ONNX inputs need "
                    "different names, so rename it in the table and train again"
                )
            self._names.add(_checked(name, "column name"))

    def input(self, name: str, dtype: DTypeLike, n_columns: int) -> str:
        """Add an input of shape (n_rows, n_columns), and return its name."""
        self._inputs.append(self._value(name, dtype, ["rows", n_columns]))
        return name

    def output(self, source: str, name: str, dtype: DTypeLike, *n_columns: int) -> None:
        """Add an output of shape (n_rows, *n_columns), which is a copy of the value `source`."""
        name = name if name not in self._names else self._unused(f"{name}_output")
        self._nodes.append(self._onnx.helper.make_node("Identity", [source], [name]))
        self._outputs.append(self._value(name, dtype, ["rows", *n_columns]))

    def constant(self, value: Any) -> str:
        """Add an array or a number as a constant, and return its name."""
        array = np.asarray(value)
        self._n_bytes += array.nbytes
        if self._n_bytes > _LARGEST_FILE:
            raise InputError("the weights take more than 2 GB, which no ONNX file can hold")
        name = self._unused(f"constant_{len(self._constants)}")
        if array.dtype.kind in "OU":
            array = array.astype(object)
            for text in array.ravel():
                _checked(text, "text")
        self._constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def node(
        self, kind: str, *inputs: str, domain: str = "", n_results: int = 1, **attributes: Any
    ) -> str:
        """Add a node, and return the name of its first result.

        Parameters
        ----------
        kind : str
            The name of the operator.
        *inputs : str
            The names of its inputs.
        domain : str, default=''
            The set of operators that it belongs to, a key of ``_OPSETS``.
        n_results : int, default=1
            The number of its results.
        **attributes
            The attributes of the operator.
        """
        for text in attributes.get("keys_strings", ()):
            _checked(text, "text")
        name = self._unused(f"{kind}_{len(self._nodes)}")
        results = [name, *(self._unused(f"{name}_{i}") for i in range(1, n_results))]
        self._nodes.append(
            self._onnx.helper.make_node(kind, list(inputs), results, domain=domain, **attributes)
        )
        return name

    def cast(self, x: str, dtype: DTypeLike) -> str:
        """Convert a value to another type."""
        return self.node("Cast", x, to=self._type(dtype))

    def model(self, name: str) -> Any:
        """Return the whole as a checked ``onnx.ModelProto`` of this name."""
        helper = self._onnx.helper
        graph = helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, initializer=self._constants
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid(*opset) for opset in _OPSETS.items()],
            producer_name="fastmlp",
            producer_version=__version__,
            ir_version=8,
        )
        self._onnx.checker.check_model(model, full_check=True)
        return model


def _checked(text: str, what: str) -> str:
    """Return text that a file of ONNX can hold; raise InputError for others."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{what} {text!r} is not Unicode, which ONNX needs") from None
    return text
