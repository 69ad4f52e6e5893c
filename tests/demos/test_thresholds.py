"""The demos of threshold units: the perceptron rule, and any Boolean function."""

from itertools import product

import numpy as np
import pytest

from fastmlp import demos
from fastmlp.demos.boolean import corners, is_separable, parity_network, universal_network
from fastmlp.demos.perceptrons import CORNERS, perceptron_rule


def test_the_rule_makes_the_corrections_that_are_written_down():
    """x = -1 of class 0 and x = 1 of class 1, computed by hand."""
    course = perceptron_rule(np.array([[-1.0], [1.0]]), np.array([0, 1]), 10)
    # The first row is right, as 0 is not above 0; the second one adds (1, 1). Then -1 + 1 = 0.
    assert course.weights.tolist() == [[0, 0], [1, 1]]
    assert course.mistakes == [1, 0] and course.has_ended and course.period is None


def test_on_exclusive_or_the_weights_come_back():
    course = perceptron_rule(CORNERS, np.array([0, 1, 1, 0]), 1000)
    assert not course.has_ended and len(course.mistakes) < 1000
    of_period = sum(course.mistakes[-course.period :])
    assert (course.weights[-1] == course.weights[-1 - of_period]).all()
    # From the same weights the same epoch follows.
    longer = perceptron_rule(CORNERS, np.array([0, 1, 1, 0]), len(course.mistakes))
    assert longer.mistakes == course.mistakes and min(course.mistakes) > 0


def test_an_epoch_too_few_decides_nothing():
    course = perceptron_rule(CORNERS, np.array([0, 0, 0, 1]), 1)
    assert not course.has_ended and course.period is None


@pytest.mark.parametrize("values", product((0, 1), repeat=4))
def test_the_rule_ends_exactly_where_a_line_parts_the_classes(values):
    course = perceptron_rule(CORNERS, np.array(values), 1000)
    assert course.has_ended == is_separable(np.array(values))
    assert course.has_ended != (course.period is not None)


@pytest.mark.parametrize("n_inputs", [1, 2, 3])
def test_every_boolean_function_has_a_network(n_inputs):
    X = corners(n_inputs)
    for values in product((0, 1), repeat=2**n_inputs):
        model = universal_network(values)
        assert model.predict(X).tolist() == list(values)
        assert model.hidden_layer_sizes == (2**n_inputs,)


def test_functions_of_many_inputs():
    values = np.random.default_rng(0).integers(0, 2, 2**9)
    assert (universal_network(values).predict(corners(9)) == values).all()
    parity = corners(9).sum(axis=1).astype(int) % 2
    assert (parity_network(9).predict(corners(9)) == parity).all()
    assert parity_network(9).hidden_layer_sizes == (9,)


@pytest.mark.parametrize("seed", (0, 1))
def test_perceptron(seed):
    result = demos.perceptron(seed)
    rows = {row[0]: row[1:] for row in result.rows}
    assert rows["and"][2:] == (1.0, "no mistake left")
    assert rows["two clouds"][2:] == (1.0, "no mistake left")
    assert rows["exclusive or"][3] == "never ends" and rows["exclusive or"][2] <= 0.75
    # Novikoff's bound holds.
    bound = float(result.findings[0].split("= ")[1].split(",")[0])
    assert 0 < rows["two clouds"][1] <= bound


def test_a_rule_that_is_stopped_is_not_said_to_go_on_for_ever():
    result = demos.perceptron(max_epochs=1)
    assert {row[4] for row in result.rows} == {"stopped"}
    assert "the rule is stopped after" in result.findings[0]
    assert result.findings[1] == "On exclusive or the rule is stopped after 1 epoch."


def test_boolean_functions():
    result = demos.boolean_functions(n_drawn=20)
    # The numbers of threshold functions of 1, 2 and 3 inputs are known (Muroga, 1971).
    assert result.rows[:3] == [
        (1, "4 (all)", 4, 4, 2), (2, "16 (all)", 14, 16, 4), (3, "256 (all)", 104, 256, 8),
    ]  # fmt: skip
    assert [row[3] for row in result.rows[3:]] == [20, 20]
    assert "this is right at every corner" in result.findings[1]
