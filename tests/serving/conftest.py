import numpy as np
import pandas as pd
import pytest

from fastmlp import TabularClassifier

N_ROWS = 120


@pytest.fixture(scope="session")
def frame():
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, N_ROWS), unit="D")
    return pd.DataFrame({
        "size": np.where(rng.random(N_ROWS) < 0.1, np.nan, rng.normal(50, 9, N_ROWS)),
        "price": [f"{v:,} EUR" for v in rng.integers(1000, 90_000, N_ROWS)],
        "constant": "c",
        "city <b>": rng.choice(["Rome", "<script>alert(1)</script>", "Oslo"], N_ROWS),
        "day": days.strftime("%Y-%m-%d"),
    })  # fmt: skip


@pytest.fixture(scope="session")
def classifier(frame):
    from served import fitted

    y = pd.Series(np.where(frame["size"].fillna(0) > 50, "large", "small"), name="kind")
    return fitted(TabularClassifier, frame, y)


@pytest.fixture(scope="module")
def client(classifier):
    from served import serving

    with serving(classifier) as (client, _):
        yield client
