"""How spaces are written, what they mean, and what is refused."""

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import InputError, MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor
from fastmlp.search.models import final_of
from fastmlp.search.space import (
    Choice,
    Range,
    read_space,
    shown,
    space_of_file,
    space_of_texts,
)
from fastmlp.search.spaces import own_space

NETWORK = MLPClassifier()


@pytest.mark.parametrize(
    ("text", "dimension"),
    [
        ("1e-4..3e-2:log", Range(1e-4, 3e-2, True)),
        ("0..0.4", Range(0.0, 0.4)),
        ("0.5..1", Range(0.5, 1.0)),
        (".1...4", Range(0.1, 0.4)),
    ],
)
def test_ranges(text, dimension):
    found = read_space({"alpha": text}, NETWORK)["alpha"]
    assert found == dimension and not found.is_integer


def test_integers_where_both_ends_are():
    found = read_space({"max_iter": "5..500:log"}, NETWORK)["max_iter"]
    assert found == Range(5, 500, True) and found.is_integer


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("hidden_layer_sizes", "64/128,64/256", (64, (128, 64), 256)),
        ("activation", "relu/tanh", ("relu", "tanh")),
        ("lr_schedule", "none/cosine", (None, "cosine")),
        ("early_stopping", "true/False", (True, False)),
        ("batch_size", "auto/32", ("auto", 32)),
        ("alpha", "0/1e-3", (0, 1e-3)),
    ],
)
def test_choices(name, text, values):
    found = read_space({name: text}, NETWORK)[name]
    assert found == Choice(values)
    assert [found.value(shown(value)) for value in values] == list(values)


def test_the_same_as_lists_and_dicts():
    space = {
        "hidden_layer_sizes": [[64], [128, 64]],
        "alpha": {"low": 1e-6, "high": 1e-2, "log": True},
        "activation": {"choices": ["relu", "tanh"]},
    }
    assert read_space(space, NETWORK) == {
        "hidden_layer_sizes": Choice(((64,), (128, 64))),
        "alpha": Range(1e-6, 1e-2, True),
        "activation": Choice(("relu", "tanh")),
    }


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("lerning_rate_init", "1..2", "no parameter 'lerning_rate_init' of MLPClassifier; did you "
         "mean 'learning_rate_init'"),
        ("zzz", "1..2", "no parameter 'zzz'"),
        ("n_jobs", "1..2", "is not searched"),
        ("learning_rate", "0.1..0.2", "the rate is called 'learning_rate_init'"),
        ("alpha", "", "empty choice"),
        ("alpha", "1..", "from a number to a number"),
        ("alpha", "a..b", "from a number to a number"),
        ("alpha", "1..2:linear", "it can be log"),
        ("alpha", "2..1", "is empty"),
        ("alpha", "1..1", "is empty"),
        ("alpha", "nan..1", "finite"),
        ("alpha", "0..inf", "finite"),
        ("alpha", "-1..1:log", "has no logarithm"),
        ("alpha", "0..1:log", "has no logarithm"),
        ("alpha", "-1..1", "a number of at least 0"),
        ("dropout", "0..1", "below 1 or a list, got 1"),
        ("activation", "relu", "no two values"),
        ("activation", "relu/relu", "twice"),
        ("activation", "relu/rleu", "got 'rleu'"),
        ("hidden_layer_sizes", "64/0", "got 0"),
        ("alpha", {"low": 1}, "needs 'low' and 'high'"),
        ("alpha", {"low": 1, "high": 2, "step": 1}, "has no 'step'"),
        ("alpha", {"low": "1", "high": 2}, "from a number"),
        ("alpha", 3.0, "no values to search"),
        ("alpha", [], "no two values"),
    ],
)  # fmt: skip
def test_what_is_refused(name, given, message):
    with pytest.raises(InputError, match=message):
        read_space({name: given}, NETWORK)


def test_an_empty_space_is_refused():
    with pytest.raises(InputError, match="the space is empty"):
        read_space({}, NETWORK)


def test_effort_is_searched_alone():
    assert read_space({"effort": "low/high"}, TabularClassifier())
    with pytest.raises(InputError, match="'effort' is about packs"):
        read_space({"effort": "low/high", "alpha": "0..1"}, TabularClassifier())


def test_names_in_a_pipeline_begin_with_the_step():
    pipeline = make_pipeline(StandardScaler(), NETWORK)
    assert final_of(pipeline) == ("mlpclassifier__", pipeline[-1])
    space = {"mlpclassifier__alpha": "0..1", "standardscaler__with_mean": "true/false"}
    assert list(read_space(space, pipeline)) == list(space)
    with pytest.raises(InputError, match="did you mean 'mlpclassifier__alpha'"):
        read_space({"alpha": "0..1"}, pipeline)
    with pytest.raises(InputError, match="must be a number of at least 0"):
        read_space({"mlpclassifier__alpha": "-1..1"}, pipeline)


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), make_pipeline(NETWORK, LogisticRegression())]
)
def test_other_estimators_are_refused(estimator):
    with pytest.raises(TypeError, match="got LogisticRegression"):
        final_of(estimator)


def test_texts_of_the_command_line():
    assert space_of_texts(["a=1..2", "b = x/y=z"]) == {"a": "1..2", "b": " x/y=z"}
    for texts, message in (
        (["a"], "is not NAME=VALUES"),
        (["=1"], "is not"),
        (["a=1", "a=2"], "tw"),
    ):
        with pytest.raises(InputError, match=message):
            space_of_texts(texts)


def test_a_file(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        'alpha = "1e-6..1e-2:log"\nhidden_layer_sizes = [[64], [128, 64]]\n'
        "[dropout]\nlow = 0\nhigh = 0.5\n"
    )
    assert read_space(space_of_file(path), NETWORK)["dropout"] == Range(0.0, 0.5)
    for text, message in (
        ("alpha 1", "no TOML file"),
        ("", "has no parameter"),
        ("[search]\nalpha = '0..1'", "is a section"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            space_of_file(path)


@pytest.mark.parametrize("n_rows", [100, 5_000, 100_000])
@pytest.mark.parametrize(
    "estimator",
    [
        MLPClassifier(),
        MLPRegressor(solver="lbfgs"),
        MLPClassifier(solver="sgd", loss="margin"),
        MLPRegressor(solver="gd"),
        TabularClassifier(),
        TabularRegressor(loss="quantile", quantiles=(0.1, 0.9)),
        make_pipeline(StandardScaler(), MLPClassifier(alpha=1.0)),
    ],
)
def test_our_own_spaces_can_be_searched(estimator, n_rows):
    space = read_space(own_space(estimator, n_rows), estimator)
    assert len(space) >= 3
    assert "mlpclassifier__alpha" not in space  # it was given
