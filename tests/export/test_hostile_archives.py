"""Archives, arrays and JSON that are not as skops writes them, or take too much memory."""

import json
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from crafted import (
    FRAME,
    QUICK,
    ROWS,
    header,
    node,
    npy,
    plain,
    refused,
    type_node,
)

from fastmlp import (
    MLPRegressor,
    ModelFileError,
    load_model,
    save_model,
)
from fastmlp.export.model_file import read_manifest

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# ---- members -----------------------------------------------------------------------------


LYING = {
    "more than there is": header((6, 4)) + bytes(95),
    "less than there is": header((6, 4)) + bytes(97),
    "an overflow": header((2**33, 2**33)) + bytes(96),
    "an overflow to zero": header((2**62, 4)),
    "negative sizes": header((-6, -4)) + bytes(96),
    "a truth value as size": header("(True, 24)") + bytes(96),
    "a size that is a float": header("(6.0, 4)") + bytes(96),
    "many sizes": header((1,) * 70) + bytes(4),
    "nothing but a header": header((6, 4)),
    "nothing": b"",
    "no array": b"PK\x03\x04" + bytes(200),
    "a pickle": b"\x80\x04\x8c\x05posix\x94.",
    "objects": header((1,), "|O") + b"\x80\x04cposix\nsystem\n(S'touch run'\ntR.",
    "numbers of Python 2": header("(6L, 4L)") + bytes(96),
    "an expression": header("(3 * 2, 4)") + bytes(96),
    "a header without an end": header((6, 4))[:40],
    "a header of no size": b"\x93NUMPY\x01\x00",
    "no expression": header("__import__('os').system('touch run')") + bytes(96),
    "a long header": header("(" * 5000 + ")" * 5000) + bytes(96),
    "an unknown version": b"\x93NUMPY\x09\x00" + header((6, 4))[8:] + bytes(96),
    "text without characters": header((2**40,), "<U0"),
    "text that is no Unicode": header((3,), "<U1") + b"\xff" * 12,
    "text in halves": header((3,), "<U1") + struct.pack("<III", 0xD800, 65, 66),
    "odd truth values": header((3,), "|b1") + b"\x00\x01\x02",
}


@pytest.mark.parametrize("name", LYING)
@pytest.mark.parametrize("names", [("estimator_", "coefs_", 0), ("estimator_", "classes_")])
def test_arrays_that_lie_about_themselves(table, tmp_path, monkeypatch, names, name):
    monkeypatch.chdir(tmp_path)
    table.members[table.node(*names)["file"]] = LYING[name]
    refused(table.write(tmp_path / "evil"))
    assert not Path("run").exists()


@pytest.mark.parametrize(
    "name",
    ["../../x.npy", "/etc/x", "a/", "x.npy", "1.npz", "1.bin", "1.pkl", "SCHEMA.JSON", "1.npy ",
     "\u0661.npy", "1.npy\x00.py", "schema.json/x", "1.npy", "__init__.py"],
)  # fmt: skip
def test_members_that_belong_to_no_model(table, tmp_path, name):
    path = table.write(tmp_path / "evil")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, npy(np.ones(3)))
    refused(path)


def test_members_that_are_missing(table, tmp_path):
    for name in [*table.members, "schema.json"]:
        path = table.write(tmp_path / "whole")
        with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "evil", "w") as archive:
            for other in whole.namelist():
                if other != name:
                    archive.writestr(other, whole.read(other))
        refused(tmp_path / "evil")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["schema.json", "fastmlp.json", None])
def test_members_that_are_there_twice(table, tmp_path, name):
    path = table.write(tmp_path / "evil")
    with zipfile.ZipFile(path, "a") as archive:
        name = name or table.node("estimator_", "coefs_", 0)["file"]
        archive.writestr(name, archive.read(name))
    refused(path)


def test_what_surrounds_the_archive(table, tmp_path):
    path = table.write(tmp_path / "evil")
    whole = path.read_bytes()
    for content in (b"#!/bin/sh\n" + whole, whole + b"\0", whole + whole, whole[:-1]):
        path.write_bytes(content)
        refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"hello"
    refused(path)
    path.write_bytes(whole)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"hello"
    refused(path)


@pytest.mark.parametrize(("at", "value"), [(6, 1), (6, 0x40), (8, 12), (8, 14), (8, 99), (8, 9)])
def test_encrypted_members_and_other_compressions(table, tmp_path, at, value):
    path = table.write(tmp_path / "evil")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("schema.json").header_offset
        start = archive.start_dir
    struct.pack_into("<H", content, offset + at, value)
    central = content.index(b"schema.json", start) - 46
    struct.pack_into("<H", content, central + at + 2, value)
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("field", [16, 20, 24, 42])  # the checksum, two sizes, the offset
@pytest.mark.parametrize("value", [0, 1, 100, 2**31, 2**32 - 1])
def test_a_directory_that_lies(table, tmp_path, field, value):
    path = table.write(tmp_path / "evil")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    name = table.node("estimator_", "coefs_", 0)["file"].encode()
    struct.pack_into("<I", content, content.index(name, start) - 46 + field, value)
    path.write_bytes(content)
    refused(path)


# ---- JSON --------------------------------------------------------------------------------


def written(table, path, schema=None, manifest=None):
    """Write a file with other text in the place of its schema or manifest."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps(table.schema) if schema is None else schema
        archive.writestr("schema.json", text)
        for name, content in table.members.items():
            archive.writestr(name, manifest if manifest and name == "fastmlp.json" else content)
    return path


def test_schemas_that_are_no_json(table, tmp_path):
    text = json.dumps(table.schema)
    twice = text.replace('{"__class__"', '{"protocol": 2, "__class__"', 1)
    twice = twice if twice.count('"protocol"') == 2 else '{"protocol": 2, ' + text[1:]
    for schema in (
        "[1]", "7", "null", "", "{}", text[:-1], text + "}", twice, text.encode("utf-16"),
        b"\xff\xfe", b"\xef\xbb\xbf" + text.encode(), "[" * 200_000 + "]" * 200_000,
        '{"a":' * 100_000 + "1" + "}" * 100_000, "1" * 50_000,
        text.replace('"protocol": 2', '"protocol": NaN'), '{"__loader__": Infinity}',
    ):  # fmt: skip
        refused(written(table, tmp_path / "evil", schema))


def test_deep_nesting(table, tmp_path):
    deep = plain(1)
    for _ in range(200):
        deep = {**plain([]), "content": [deep]}
    table.put(deep, "notes_")
    refused(table.write(tmp_path / "evil"), "nested too deeply")


@pytest.mark.parametrize(
    "content",
    ["[1]", '{"a": 1}', "x", "", "1" * 5000, str(2**65), str(-(2**65)), '"\\ud800"', 7, None, ["1"],
     "[" * 100_000],
)  # fmt: skip
def test_values_are_single_values(table, tmp_path, content):
    for names in (("alpha",), ("notes_",), ("columns_", 0, "name")):
        crafted = table.copy()
        crafted.put({**plain(1), "content": content}, *names)
        refused(crafted.write(tmp_path / "evil"))


def test_keys_of_dicts(table, tmp_path):
    odd = plain({"a": 1})
    for kind in (type_node("subprocess", "Popen"), type_node("builtins", "eval"), plain("str"), 7,
                 type_node("builtins", "int"), type_node("builtins", "bool"),
                 type_node("numpy", "int64"), node("os", "system", "FunctionNode")):  # fmt: skip
        odd["key_types"]["content"] = [kind]
        table.put(odd, "notes_")
        refused(table.write(tmp_path / "evil"))
    two = plain({1: "a", 2: "b"})
    two["content"] = {"1": plain("a"), "01": plain("b")}
    table.put(two, "notes_")
    refused(table.write(tmp_path / "evil"), "has a key twice")
    two["key_types"]["content"].pop()
    refused(table.write(tmp_path / "evil"), "other keys than it says")


def test_one_identity_for_several_objects_makes_no_difference(table, tmp_path):
    """Nothing is looked up by identities, so that they can lead nowhere."""
    expected = load_model(table.write(tmp_path / "model")).predict_proba(FRAME)
    todo = [table.schema]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            if "__id__" in part:
                part["__id__"] = 1
            todo += part.values()
        elif isinstance(part, list):
            todo += part
    model = load_model(table.write(tmp_path / "model"))
    np.testing.assert_array_equal(model.predict_proba(FRAME), expected)
    table.schema["__id__"] = [1]
    refused(table.write(tmp_path / "evil"), "identity")


@pytest.mark.parametrize(
    "change",
    [{"format": 1.0}, {"format": True}, {"format": "1"}, {"fastmlp": 1}, {"fastmlp": ""},
     {"fastmlp": "0.1.0\x1b]0;x\x07"}, {"created": "x" * 101}, {"created": "2026\n"},
     {"scikit-learn": "1.9\u202e"}, {"scikit-learn": None}, {"holds": ["MLPClassifier"]},
     {"created": "\x9b2J"}],
    ids=str,
)  # fmt: skip
def test_words_of_the_manifest_can_be_shown(table, tmp_path, change):
    manifest = json.dumps({**json.loads(table.members["fastmlp.json"]), **change})
    path = written(table, tmp_path / "evil", manifest=manifest)
    refused(path, "not a model written by fastmlp")
    with pytest.raises(ModelFileError, match="not a model written by fastmlp"):
        read_manifest(path)


def test_the_manifest_holds_what_the_file_holds(table, tmp_path):
    manifest = {**json.loads(table.members["fastmlp.json"]), "holds": "MLPClassifier"}
    refused(written(table, tmp_path / "evil", manifest=json.dumps(manifest)), "another model")


def test_models_that_have_not_been_fitted(table, tmp_path):
    table.remove("estimator_")
    refused(table.write(tmp_path / "evil"))


# ---- sizes -------------------------------------------------------------------------------

BOMB, SMALL = 160, 100  # MiB


def bomb(table, path, kind):
    """Write a small archive, a part of which is large."""
    zeros = bytes(2**20)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in table.members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                if kind == "manifest" and name == "fastmlp.json":
                    for _ in range(BOMB):
                        member.write(zeros.replace(b"\0", b" "))
                if kind == "array" and name == table.node("estimator_", "coefs_", 0)["file"]:
                    content = header((BOMB * 2**18,))
                member.write(content)
                if kind == "array" and b"descr" in content[:20] and len(content) == 128:
                    for _ in range(BOMB if str(BOMB * 2**18).encode() in content else 0):
                        member.write(zeros)
        with archive.open("schema.json", "w", force_zip64=True) as member:
            if kind == "schema":
                for _ in range(BOMB):
                    member.write(zeros.replace(b"\0", b" "))
            if kind == "dense schema":
                member.write(b"[" + b"[]," * (8 * 2**20) + b"0]")
            else:
                member.write(json.dumps(table.schema).encode())
    assert path.stat().st_size < 2**20


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_AS"), reason="needs limits of memory")
def test_bombs_take_no_memory(table, tmp_path):
    """One process reads them all; what it has grown by at any time is below the limit."""
    paths = [tmp_path / kind for kind in ("array", "manifest", "schema", "dense schema")]
    for path in paths:
        bomb(table, path, path.name)
    code = (
        "import json, resource, sys, fastmlp\n"
        "from fastmlp.export.model_file import read_manifest\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    told = []\n"
        "    for read in (fastmlp.load_model, read_manifest):\n"
        "        try:\n"
        "            read(path)\n"
        "        except fastmlp.ModelFileError as error:\n"
        "            told.append(str(error))\n"
        "    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "    print(json.dumps([told, grown]))\n"
    )
    run = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    for path, line in zip(paths, run.stdout.splitlines(), strict=True):
        told, grown = json.loads(line)
        assert str(path) in told[0] and grown < SMALL * 1024, (path, told, run.stderr)


def test_models_that_compress_well_are_written_and_loaded(tmp_path, monkeypatch):
    """Weights of zeros are written in a way that does not look like an attack."""
    monkeypatch.setattr("fastmlp.export.archive._ALWAYS_ALLOWED", 2**17)
    model = MLPRegressor(hidden_layer_sizes=(4,), **QUICK).fit(ROWS, ROWS[:, 0])
    wide = 100_000
    model.coefs_ = [np.zeros((4, wide), np.float32), np.zeros((wide, 1), np.float32)]
    model.intercepts_ = [np.zeros(wide, np.float32), np.zeros(1, np.float32)]
    del model._optimizer
    save_model(model, tmp_path / "model")
    assert load_model(tmp_path / "model").coefs_[0].shape == (4, wide)
