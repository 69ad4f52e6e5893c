"""Model files that save_model never wrote: edits of the schema and the members of a good file."""

import copy
import io
import json
import struct
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest

from fastmlp import ModelFileError, load_model

ROWS = np.random.RandomState(0).normal(size=(60, 4))
LABELS = np.array(["no", "yes", "maybe"])[np.arange(60) % 3]
FRAME = pd.DataFrame(
    {
        "size": np.where(np.arange(60) % 7 == 0, np.nan, ROWS[:, 0]),
        "weight": ROWS[:, 1],
        "colour": np.array(["red", "green", None])[np.arange(60) // 2 % 3],
        "kind": LABELS,
    }
)
QUICK = {"random_state": 0, "max_iter": 3, "diagnose": False}


def refused(path, match="."):
    """The message of the refusal: one line, without any warning before it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ModelFileError, match=match) as caught:
            load_model(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and len(message) < 700
    return message


class Crafted:
    """The parts of a model file, to be changed and written again.

    Attributes
    ----------
    schema : dict
        What ``schema.json`` says.
    members : dict of str to bytes
        All other members.
    """

    def __init__(self, path):
        with zipfile.ZipFile(path) as archive:
            self.members = {name: archive.read(name) for name in archive.namelist()}
        self.schema = json.loads(self.members.pop("schema.json"))

    def copy(self):
        return copy.deepcopy(self)

    def node(self, *names):
        """Node of an attribute, or of an item of a list, by the names on the way to it."""
        node = self.schema
        for name in names:
            content = node["content"]
            if isinstance(content, dict) and content.get("__loader__") == "DictNode":
                content = content["content"]  # an object has its attributes in a dict
            node = content[name]
        return node

    def put(self, node, *names):
        """Put a node in the place of another, or add an attribute."""
        *parents, last = names
        parent = self.node(*parents)
        content = parent["content"]
        if isinstance(content, dict) and content.get("__loader__") == "DictNode":
            parent, content = content, content["content"]
        if isinstance(content, dict) and last not in content:
            parent["key_types"]["content"].append(type_node("builtins", "str"))
        content[last] = node

    def remove(self, *names):
        *parents, last = names
        attributes = self.node(*parents)["content"]
        del attributes["content"][last]
        attributes["key_types"]["content"].pop()

    def change_array(self, value, *names):
        """Put another array into the member of a node."""
        self.members[self.node(*names)["file"]] = npy(value)

    def add_array(self, value, name="7.npy"):
        """Node of a new array."""
        self.members[name] = npy(value)
        return node("numpy", "ndarray", "NdArrayNode", type="numpy", file=name)

    def drop_unused(self):
        """Remove the arrays that no node refers to."""
        text = json.dumps(self.schema)
        self.members = {
            name: content
            for name, content in self.members.items()
            if not name.endswith(".npy") or f'"{name}"' in text
        }

    def write(self, path, compression=zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr("schema.json", json.dumps(self.schema))
            for name, content in self.members.items():
                archive.writestr(name, content)
        return path


def each_array(wrong):
    """Run a test with each of some arrays, of which there is a list for the names of each place."""
    return pytest.mark.parametrize(
        ("names", "value"),
        [(names, value) for names, values in wrong.items() for value in values],
        ids=lambda part: getattr(part, "dtype", None) and f"{part.dtype}{part.shape}",
    )


def npy(value):
    file = io.BytesIO()
    np.save(file, value)
    return file.getvalue()


def node(module, cls, loader, **fields):
    return {"__module__": module, "__class__": cls, "__loader__": loader, "__id__": 1, **fields}


def plain(value):
    """Node of a value of JSON."""
    if isinstance(value, list):
        return node("builtins", "list", "ListNode", content=[plain(item) for item in value])
    if isinstance(value, dict):
        keys = [type_node("builtins", type(key).__name__) for key in value]
        return node(
            "builtins",
            "dict",
            "DictNode",
            content={str(key): plain(item) for key, item in value.items()},
            key_types=node("builtins", "list", "ListNode", content=keys),
        )
    return node("builtins", "str", "JsonNode", content=json.dumps(value), is_json=True)


def type_node(module, name):
    return node(module, name, "TypeNode")


def object_node(module, cls, **attributes):
    return node(module, cls, "ObjectNode", content={**plain({}), **_attributes(attributes)})


def _attributes(attributes):
    keys = [type_node("builtins", "str")] * len(attributes)
    return {
        "content": attributes,
        "key_types": node("builtins", "list", "ListNode", content=keys),
    }


def header(shape, descr="<f4", order="False"):
    text = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()
