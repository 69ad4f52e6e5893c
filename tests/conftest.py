import sys
from pathlib import Path

import pandas as pd
import pytest

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def checkout():
    """The folder ``benchmarks`` can be imported, which is not installed."""
    root = str(DATA.parent.parent)
    sys.path.append(root)
    yield
    sys.path.remove(root)


@pytest.fixture
def concrete_csv():
    """A small real regression table: see data/README.md."""
    return DATA / "concrete.csv"


@pytest.fixture
def people():
    """A small table with numbers, text, missing values, and columns of no use."""
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
