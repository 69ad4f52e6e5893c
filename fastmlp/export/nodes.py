"""The objects that the schema of a skops archive describes, as plain values and records.

Nothing is looked up by a name in the file, and nothing is called: each kind of object that model
files hold is listed here, and read by a function of its own.
"""

import json
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import LabelBinarizer, OneHotEncoder, StandardScaler

from .. import schedules
from ..estimators.classifier import MLPClassifier
from ..estimators.regressor import MLPRegressor
from ..tabular.classifier import TabularClassifier
from ..tabular.pack.members import Member, Pack
from ..tabular.preprocessing import TabularPreprocessor
from ..tabular.regressor import TabularRegressor
from ..training.checkpoint import KeptFit, TrainingState
from ..training.history import OptimizerState
from .archive import Archive, RefusedError

_PROTOCOL = 2  # of skops
_DEEPEST = 40
_LONGEST_NAME = 200
_LARGEST_INTEGER = 2**64
_COMMON = {"__module__", "__class__", "__loader__", "__id__"}

# The classes whose objects may stand in a file, by the names that skops gives them.
CLASSES: dict[str, Any] = {
    f"{cls.__module__}.{cls.__qualname__}": cls
    for cls in (
        KeptFit,
        MLPClassifier,
        MLPRegressor,
        Member,
        OptimizerState,
        Pack,
        TabularClassifier,
        TabularPreprocessor,
        TabularRegressor,
        TrainingState,
        schedules.LearningRate,
        *schedules.SCHEDULES.values(),
        LabelBinarizer,
        MissingIndicator,
        OneHotEncoder,
        SimpleImputer,
        StandardScaler,
    )
}

_SCALARS: dict[str, Any] = {
    f"numpy.{name}": getattr(np, name)
    for name in (
        "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
        "float16", "float32", "float64", "str_", "bool_",
    )
} | {"numpy.bool": np.bool_}  # fmt: skip

# Keys of dicts, which JSON knows as text only.
_KEYS: dict[str, Callable[[str], Any]] = {
    "builtins.str": str,
    "builtins.int": int,
    "builtins.float": float,
    "builtins.bool": lambda text: {"true": True, "false": False}[text],
    "builtins.NoneType": lambda text: {"null": None}[text],
}


@dataclass
class Record:
    """An object that is not made yet.

    Parameters
    ----------
    cls : class
        One of ``CLASSES``.
    state : dict
        Its attributes by their names.
    """

    cls: Any
    state: dict[str, Any]


class UnknownTypeError(RefusedError):
    """A type that is not loaded, and where it stands.

    Parameters
    ----------
    kind : str
        The module and the name of the type.
    place : str
        The attribute that holds an object of it; empty for the model itself.
    """

    def __init__(self, kind: str, place: str) -> None:
        kind = kind[:_LONGEST_NAME]
        super().__init__(
            f"`{place}` holds objects of type {kind}, which are not loaded for safety"
            if place
            else f"a {kind} is none of the models of fastmlp; it is not loaded for safety"
        )


def read_root(archive: Archive) -> Any:
    """Read the object that a model file holds.

    Parameters
    ----------
    archive : Archive

    Returns
    -------
    object
        A plain value, or a Record for an object of this package or of scikit-learn.

    Raises
    ------
    RefusedError
        When the schema is not one that skops writes for the objects of a model.
    UnknownTypeError
        When it has an object of another type.
    """
    root = archive.schema()
    if not isinstance(root, dict):
        raise RefusedError("its schema describes no object")
    protocol, skops = root.pop("protocol", None), root.pop("_skops_version", None)
    if type(protocol) is not int or protocol != _PROTOCOL or not isinstance(skops, str):
        raise RefusedError(f"its skops protocol is {protocol!r:.20}, and {_PROTOCOL} is needed")
    value = _Reader(archive).value(root, "", 0)
    archive.check_all_used()
    return value


class _Reader:
    """Reads nodes, the parts of a schema.

    Parameters
    ----------
    archive : Archive
        It has the arrays that nodes refer to.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._random_states: dict[Any, np.random.RandomState] = {}

    def value(self, node: Any, place: str, depth: int) -> Any:
        """Return what a node describes.

        Parameters
        ----------
        node : object
            A value of JSON.
        place : str
            The attribute that the value belongs to, for messages.
        depth : int
            The number of nodes around this one.
        """
        if depth > _DEEPEST:
            raise RefusedError(f"{called(place)} is nested too deeply")
        loader = _field(node, "__loader__", place)
        kind = f"{_field(node, '__module__', place)}.{_field(node, '__class__', place)}"
        read = {
            ("JsonNode", "builtins.str"): self._json,
            ("ListNode", "builtins.list"): self._list,
            ("TupleNode", "builtins.tuple"): self._list,
            ("DictNode", "builtins.dict"): self._dict,
            ("DictNode", "collections.OrderedDict"): self._dict,
            ("NdArrayNode", "numpy.ndarray"): self._array,
            ("DTypeNode", "numpy.dtype"): self._dtype,
            ("RandomStateNode", "numpy.random.mtrand.RandomState"): self._random_state,
            ("TypeNode", "numpy.float32"): self._type,
        }.get((loader, kind))
        if loader == "NdArrayNode" and kind in _SCALARS:
            read = self._scalar
        elif loader == "ObjectNode" and kind in CLASSES:
            read = self._record
        if read is None:
            raise UnknownTypeError(kind, place)
        if type(node.get("__id__", 0)) is not int:
            raise RefusedError(f"{called(place)} has an odd identity")
        return read(node, kind, place, depth + 1)

    def _json(self, node: dict[str, Any], kind: str, place: str, depth: int) -> Any:
        _check_fields(node, place, "content", "is_json")
        content = node["content"]
        if not isinstance(content, str) or node["is_json"] is not True:
            raise RefusedError(f"{called(place)} is no value")
        value = json.loads(content)
        if isinstance(value, int):
            if not -_LARGEST_INTEGER < value < _LARGEST_INTEGER:
                raise RefusedError(f"{called(place)} is too large")
        elif isinstance(value, str):
            _check_text(value, place)
        elif not (value is None or isinstance(value, float)):
            raise RefusedError(f"{called(place)} is no value")
        return value

    def _list(self, node: dict[str, Any], kind: str, place: str, depth: int) -> Any:
        _check_fields(node, place, "content")
        values = [
            self.value(item, f"{place}[{i}]", depth)
            for i, item in enumerate(_items(node["content"], place))
        ]
        return values if kind == "builtins.list" else tuple(values)

    def _dict(self, node: dict[str, Any], kind: str, place: str, depth: int) -> Any:
        _check_fields(node, place, "content", "key_types")
        content, types = node["content"], node["key_types"]
        _check_is(types, "ListNode", "builtins.list", place)
        of_keys = _items(types.get("content"), place)
        if not isinstance(content, dict) or len(content) != len(of_keys):
            raise RefusedError(f"{called(place)} has other keys than it says")
        found: dict[Any, Any] = {} if kind == "builtins.dict" else OrderedDict()
        for (key, item), of_key in zip(content.items(), of_keys, strict=True):
            found[_key(key, of_key, place)] = self.value(item, _inside(place, key), depth)
        if len(found) != len(content):
            raise RefusedError(f"{called(place)} has a key twice")
        return found

    def _array(self, node: dict[str, Any], kind: str, place: str, depth: int) -> np.ndarray:
        if node.get("type") == "numpy":
            _check_fields(node, place, "type", "file")
            array = self._archive.array(node["file"])
            if array.ndim == 0:
                raise RefusedError(f"{called(place)} is no array")
            return array
        # An array of objects, of which model files hold vectors of text.
        _check_fields(node, place, "type", "shape", "content")
        items = _items(node["content"], place)
        shape = self.value(node["shape"], place, depth)
        if node["type"] != "json" or shape != (len(items),):
            raise RefusedError(f"{called(place)} is no vector of text")
        array = np.empty(len(items), dtype=object)
        for i, item in enumerate(items):
            array[i] = self.value(item, f"{place}[{i}]", depth)
            if not isinstance(array[i], str):
                raise RefusedError(f"{called(place)} is an array of objects that are not all text")
        return array

    def _scalar(self, node: dict[str, Any], kind: str, place: str, depth: int) -> Any:
        _check_fields(node, place, "type", "file")
        cls, array = _SCALARS[kind], self._archive.array(node["file"])
        if node["type"] != "numpy" or array.ndim != 0 or array.dtype.type is not cls:
            raise RefusedError(f"{called(place)} is no {kind}")
        return array[()]

    def _dtype(self, node: dict[str, Any], kind: str, place: str, depth: int) -> Any:
        _check_fields(node, place, "content")
        content = self.value(node["content"], place, depth)
        if not isinstance(content, np.ndarray):
            raise RefusedError(f"{called(place)} is no type of an array")
        return content.dtype

    def _type(self, node: dict[str, Any], kind: str, place: str, depth: int) -> Any:
        _check_fields(node, place)
        return np.float32

    def _record(self, node: dict[str, Any], kind: str, place: str, depth: int) -> Record:
        _check_fields(node, place, "content")
        state = self.value(node["content"], place, depth)
        state = {} if state is None else state
        if type(state) is not dict or not all(isinstance(name, str) for name in state):
            raise RefusedError(f"{called(place)} has no attributes")
        return Record(CLASSES[kind], state)

    def _random_state(self, node: dict[str, Any], kind: str, place: str, depth: int) -> Any:
        _check_fields(node, place, "content")
        state = self.value(node["content"], place, depth)
        expected = {"bit_generator": str, "state": dict, "has_gauss": int, "gauss": float}
        is_whole = type(state) is dict and _has_types(state, expected)
        twister = state["state"] if is_whole else {}
        if not (
            is_whole
            and state["bit_generator"] == "MT19937"
            and state["has_gauss"] in (0, 1)
            and math.isfinite(state["gauss"])
            and _has_types(twister, {"key": np.ndarray, "pos": int})
            and twister["key"].shape == (624,)
            and twister["key"].dtype == np.uint32
            # A larger position would be read beyond the end of the key.
            and 0 <= twister["pos"] <= 624
        ):
            raise RefusedError(f"{called(place)} is no state of a random number generator")
        # An estimator may have one generator in two attributes.
        identity = node.get("__id__"), twister["key"].tobytes(), twister["pos"], state["gauss"]
        if identity not in self._random_states:
            generator = np.random.RandomState(0)
            generator.set_state(state)
            self._random_states[identity] = generator
        return self._random_states[identity]


def called(place: str) -> str:
    """Return the words by which messages call a place."""
    return f"`{place}`" if place else "the model"


def _inside(place: str, name: str) -> str:
    shown = name if name.isidentifier() else repr(name[:50])
    return f"{place}.{shown}" if place else shown


def _field(node: Any, name: str, place: str) -> str:
    value = node.get(name) if isinstance(node, dict) else None
    if not isinstance(value, str):
        raise RefusedError(f"{called(place)} is no object of skops")
    return value


def _check_fields(node: dict[str, Any], place: str, *names: str) -> None:
    """Raise RefusedError unless a node has just these fields beside those that all nodes have."""
    if node.keys() - _COMMON != set(names):
        raise RefusedError(f"{called(place)} is not as skops writes it")


def _check_is(node: Any, loader: str, kind: str, place: str) -> None:
    found = f"{_field(node, '__module__', place)}.{_field(node, '__class__', place)}"
    if (_field(node, "__loader__", place), found) != (loader, kind):
        raise UnknownTypeError(found, place)


def _items(content: Any, place: str) -> list[Any]:
    if not isinstance(content, list):
        raise RefusedError(f"{called(place)} is no list")
    return content


def _key(key: str, of_key: Any, place: str) -> Any:
    """Return the key of a dict, which JSON has as text, in its own type."""
    if _field(of_key, "__loader__", place) != "TypeNode":
        raise RefusedError(f"{called(place)} has an odd key")
    kind = f"{_field(of_key, '__module__', place)}.{_field(of_key, '__class__', place)}"
    if kind in ("numpy.bool", "numpy.bool_"):
        return np.bool_(_KEYS["builtins.bool"](key))
    if kind in _SCALARS:
        number = _SCALARS[kind]
        return number(int(key) if issubclass(number, np.integer) else key)
    if kind not in _KEYS:
        raise UnknownTypeError(kind, place)
    _check_text(key, place)
    return _KEYS[kind](key)


def _check_text(text: str, place: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RefusedError(f"{called(place)} has text that is not Unicode") from None


def _has_types(state: Any, expected: dict[str, type]) -> bool:
    """Tell whether a dict has just these keys, with values of these types."""
    return state.keys() == expected.keys() and all(
        type(state[name]) is kind for name, kind in expected.items()
    )
