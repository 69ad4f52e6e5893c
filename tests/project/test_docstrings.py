"""The documentation of every public name: numpydoc's own checks, and shapes of arrays."""

import inspect
import re
import sys
from types import ModuleType

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import Validator, validate

import fastmlp

CHECKS = {
    "GL03",  # no double blank lines
    "GL05",  # no tabs
    "GL06",  # no unknown sections
    "GL07",  # sections in numpydoc's order
    "GL08",  # there is a docstring
    "SS01",  # there is a summary
    "SS03",  # which ends with a period
    "SS06",  # and fits in one line
    "PR01",  # every parameter is documented
    "PR02",  # and no other
    "PR03",  # in their order
    "PR04",  # with a type
    "PR05",  # that ends without a period
    "PR06",  # and says str, int, bool
    "PR10",  # after a colon with spaces
    "RT01",  # what is returned is documented
    "YD01",  # and what is yielded
}


def is_ours(value):
    return (getattr(value, "__module__", None) or "").startswith("fastmlp")


def members(value):
    """Public functions and classes of a module, or methods and properties of a class.

    What a module imports is not its own. A method that overrides another without a docstring
    inherits that one's, as ``help`` shows it.
    """
    if isinstance(value, ModuleType):
        found = {name: getattr(value, name) for name in getattr(value, "__all__", vars(value))}
        found = {k: v for k, v in found.items() if is_ours(v) and v.__module__ in sources(value)}
    else:
        found = dict(inspect.getmembers(value))
        functions = {k: v.fget if isinstance(v, property) else v for k, v in found.items()}
        found = {k: v for k, v in functions.items() if inspect.isfunction(v) and is_ours(v)}
        bases = value.__mro__[1:]
        found = {
            k: v
            for k, v in found.items()
            if v.__doc__ or not any(getattr(base, k, None) for base in bases)
        }
    return {name: member for name, member in found.items() if not name.startswith("_")}


def sources(module):
    """Names of a module, and of those within it where it is a package."""
    return {name for name in sys.modules if f"{name}.".startswith(f"{module.__name__}.")}


def public_names():
    """Names without underscores that lead to functions, classes, methods and properties.

    Where several lead to one object the first of them counts.
    """
    found = {}

    def visit(name, value):
        if isinstance(value, ModuleType) or (inspect.isclass(value) and is_ours(value)):
            if inspect.isclass(value):
                found.setdefault(value, name)
            for child, member in members(value).items():
                visit(f"{name}.{child}", member)
        elif inspect.isfunction(value) and is_ours(value):
            found.setdefault(value, name)

    for name in fastmlp.__all__:
        visit(f"fastmlp.{name}", getattr(fastmlp, name))
    return list(found.values())


PUBLIC = public_names()


def test_public_names_are_found():
    assert {
        "fastmlp.MLPClassifier", "fastmlp.MLPRegressor.fit", "fastmlp.MLPClassifier.partial_fit",
        "fastmlp.fit_many", "fastmlp.schedules.OneCycle", "fastmlp.schedules.Schedule.next_rate",
        "fastmlp.plotting.learning_curve", "fastmlp.demos.xor", "fastmlp.DataError",
    } <= set(PUBLIC)  # fmt: skip


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring(name):
    assert not {code: text for code, text in validate(name)["errors"] if code in CHECKS}


@pytest.mark.parametrize("name", PUBLIC)
def test_arrays_have_shapes(name):
    """Types of parameters and results say of which shape arrays are."""
    documented = get_doc_object(Validator._load_obj(name))
    sections = ("Parameters", "Attributes", "Returns", "Yields")
    entries = [entry for section in sections for entry in documented[section]]
    arrays = [e for e in entries if re.search(r"\b(array-like|ndarray|matrix)\b", e.type)]
    without = [e for e in arrays if "shape" not in " ".join([e.type, *e.desc])]
    assert not without
