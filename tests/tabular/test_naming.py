"""Columns that are not there: messages name those that may be meant."""

import pandas as pd
import pytest

from fastmlp import DataError, train_table
from fastmlp.tabular.csv import read_table
from fastmlp.tabular.naming import columns_there, nearest_columns
from fastmlp.tabular.train import evaluate

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("incme", ["income"]), ("INCOME ", ["income"]), ("agé", ["age"]), ("planet", []),
        ("incom", ["income"]), (3, []), ("3", []), ("", []),
    ],
)  # fmt: skip
def test_names_that_are_near(name, found):
    assert nearest_columns(name, ["age", "income", 32]) == found


def test_all_columns_are_named_where_none_is_near():
    assert columns_there("x", ["alpha", "beta"]) == "; the columns are 'alpha', 'beta'"
    assert columns_there("alpa", ["alpha", "beta"]) == (
        "; the columns are 'alpha', 'beta'; did you mean 'alpha'?"
    )
    many = [f"the amount of part {i}" for i in range(30)]
    told = columns_there("the amuont of part 29", many)
    assert told.startswith("; did you mean 'the amount of part 29' or") and len(told) < 120
    assert told.endswith("There are 30 columns")
    assert columns_there("zz", range(30)).endswith("19, ...")


def test_messages_suggest_the_nearest_column(people, tmp_path):
    with pytest.raises(DataError, match=r"no target column 'klass'; .*; did you mean 'class'"):
        train_table(people, "klass")
    path = tmp_path / "t.csv"
    people.to_csv(path, index=False)
    for kind in ("drop", "text"):
        with pytest.raises(DataError, match=f"'Citi' for `{kind}`; .*; did you mean 'city'"):
            read_table(path, **{kind: ["Citi"]})
    model = train_table(people, **SMALL)
    with pytest.raises(DataError, match=r"'class' to compare with; .*; did you mean 'Class'"):
        evaluate(model, people.rename(columns={"class": "Class"}))
    renamed = people.rename(columns={"income": "Income", "age": "year"})
    with pytest.raises(DataError, match=r"'age', 'income'; .* 'income' may be its column 'Income'"):
        model.predict(renamed)
    with pytest.raises(DataError, match=r"were? trained with them$|was trained with them$"):
        model.predict(pd.DataFrame({"age": [1.0]}))
