import os
import sys
from pathlib import Path

import pandas as pd
import pytest

import fastmlp

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session", autouse=True)
def installed():
    """Processes that tests start import what these tests do, and not a checkout where they start.

    That has no compiled kernels, even where the package that is installed has them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONSAFEPATH", "1")
        yield


@pytest.fixture(scope="module")
def checkout():
    """The folder ``benchmarks`` can be imported, which is not installed, here and in processes."""
    root = str(DATA.parent.parent)
    sys.path.append(root)
    with pytest.MonkeyPatch.context() as patch:
        package = str(Path(fastmlp.__file__).parent.parent)
        patch.setenv("PYTHONPATH", os.pathsep.join([package, root]), prepend=os.pathsep)
        yield
    sys.path.remove(root)


@pytest.fixture
def concrete_csv():
    """A small real regression table: see data/README.md."""
    return DATA / "concrete.csv"


@pytest.fixture
def people(table_of_people):
    """A small table with numbers, text, missing values, and columns of no use."""
    return table_of_people.copy()


@pytest.fixture(scope="session")
def table_of_people():
    """The table of all tests, which none may change."""
    n = 120
    age = [20 + 7 * i % 50 for i in range(n)]
    city = [("Rome", "Oslo", "Lima")[i % 3] for i in range(n)]
    frame = pd.DataFrame({"age": age, "city": city})
    frame["income"] = [1000 + 30 * a if i % 10 else None for i, a in enumerate(age)]
    frame["job"] = [None if i % 7 == 0 else ("cook", "clerk")[i % 2] for i in range(n)]
    frame["planet"] = "Earth"
    frame["nothing"] = None
    frame["name"] = [f"person {i}" for i in range(n)]
    frame["member"] = [i % 4 == 0 for i in range(n)]
    frame["class"] = [("old" if a > 40 else "young") for a in age]
    return frame
