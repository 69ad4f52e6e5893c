"""Model files that were changed by chance are refused or predict; they end nothing."""

import json
import random
import warnings

import pytest
from crafted import (
    FRAME,
    ROWS,
    Crafted,
)

from fastmlp import (
    ModelFileError,
    TabularPreprocessor,
    load_model,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# ---- by chance ---------------------------------------------------------------------------


def predictions(model):
    if isinstance(model, TabularPreprocessor):
        return model.transform(FRAME)
    return model.predict(FRAME if hasattr(model, "preprocessor_") else ROWS)


def mutated_bytes(content, chance):
    content = bytearray(content)
    at, kind = (
        chance.randrange(len(content)),
        chance.choice(["flip", "cut", "double", "zeros", "swap"]),
    )
    if kind == "flip":
        content[at] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del content[at : at + chance.choice([1, 100, 10**9])]
    elif kind == "double":
        content[at:at] = content[max(0, at - 100) : at]
    elif kind == "zeros":
        content[at : at + 50] = bytes(len(content[at : at + 50]))
    else:
        other = chance.randrange(len(content))
        content[at : at + 20], content[other : other + 20] = (
            content[other : other + 20],
            content[at : at + 20],
        )
    return bytes(content)


VALUES = [
    "null", "true", "0", "1", "-1", "3", "7", "1e308", "NaN", "-Infinity", '"relu"', '"x"', '""',
    "2147483648", "18446744073709551615", '"pandas"', "0.5", '"softmax"', '"multiclass"',
]  # fmt: skip


def parts_of(schema):
    found, todo = [], [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            found += [(part, key) for key in part]
            todo += part.values()
        elif isinstance(part, list):
            found += [(part, i) for i in range(len(part))]
            todo += part
    return found


def mutated_schema(crafted, chance):
    crafted = crafted.copy()
    parts = parts_of(crafted.schema)
    for _ in range(chance.choice([1, 1, 2])):
        (part, key), (other, of_other) = chance.choice(parts), chance.choice(parts)
        kind = chance.choice(["remove", "value", "value", "copy", "rename"])
        if kind == "remove":
            part.pop(key) if key in part or (isinstance(part, list) and key < len(part)) else None
        elif kind == "value":
            leaves = [(p, k) for p, k in parts if isinstance(p, dict) and k == "content"
                      and isinstance(p.get(k), str)]  # fmt: skip
            part, key = chance.choice(leaves)
            part[key] = chance.choice(VALUES)
        elif kind == "copy":
            try:
                part[key] = json.loads(json.dumps(other[of_other]))
            except (KeyError, IndexError, ValueError, RecursionError):
                continue
        elif isinstance(part, dict) and key in part and isinstance(part[key], str):
            part[key] = chance.choice(["ObjectNode", "ListNode", "builtins", "list", "float32"])
    return crafted


@pytest.mark.parametrize("seed", range(4))
def test_files_changed_by_chance_are_refused_or_predict(table_file, network_file, folder, seed):
    check_changed([table_file, network_file], folder / "changed", random.Random(seed))


def test_packs_changed_by_chance_are_refused_or_predict(pack_file, folder):
    check_changed([pack_file], folder / "changed", random.Random(0))


def write_changed(source, path, step, chance):
    """Write a file with other bytes, or in every second step with another schema."""
    if step % 2:
        path.write_bytes(mutated_bytes(source.read_bytes(), chance))
    else:
        mutated_schema(Crafted(source), chance).write(path)


def check_changed(sources, path, chance):
    n_loaded = 0
    for step in range(100):
        source = chance.choice(sources)
        write_changed(source, path, step, chance)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                model = load_model(path)
            except ModelFileError:
                continue
            n_loaded += 1
            try:
                assert len(predictions(model)) == 60
            except ValueError as error:  # such as a device that is not there
                assert str(error)
    assert n_loaded < 80
