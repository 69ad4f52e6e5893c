"""What the demos claim, and how the command line shows them."""

import json
import math
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fastmlp_cli.main import main
from helpers import imported_by
from sklearn.datasets import load_digits

from fastmlp import demos
from fastmlp.demos.curves import bump, bump_by_hand
from fastmlp.demos.images import load_images
from fastmlp.demos.patterns import N_POSITIONS, PATTERNS
from fastmlp.exceptions import InputError

SEEDS = (0, 1)


def run(*args, code=0):
    result = CliRunner().invoke(main, ["demo", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


def fails(*args):
    result = run(*args, code=2)
    assert result.stdout == "" and len(result.stderr.splitlines()) == 1
    return result.stderr


# ---- claims ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_xor(seed):
    result = demos.xor(seed, n_seeds=8)
    best = dict(zip([row[:2] for row in result.rows], result.column("best accuracy"), strict=True))
    solved = dict(zip([row[:2] for row in result.rows], result.column("solved"), strict=True))
    assert best[0, "none"] == 0.75
    assert best[1, "tanh"] <= 0.75 and best[1, "relu"] <= 0.75
    assert best[2, "tanh"] == 1 and best[8, "relu"] == 1
    assert 1 <= solved[2, "tanh"] <= 8 and solved[8, "tanh"] >= solved[2, "tanh"]
    assert f"{solved[2, 'tanh']} of 8 initial weights" in result.findings[1]


def test_threshold_units():
    result = demos.threshold_units(gains=(2, 40))
    assert result.column("threshold net") == [0, 1, 1, 0]
    assert result.column("or") == [0, 1, 1, 1] and result.column("and") == [0, 0, 0, 1]
    np.testing.assert_allclose(result.column("logistic x40"), [0, 1, 1, 0], atol=1e-8)
    # The network is the one that is written down: twice the weights of "or, but not and".
    hidden = 1 / (1 + np.exp(-2 * (1 - np.array([0.5, 1.5]))))
    output = 1 / (1 + np.exp(-2 * (hidden[0] - hidden[1] - 0.5)))
    assert result.column("logistic x2")[1] == pytest.approx(output, rel=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_three_points(seed):
    result = demos.three_points(seed)
    best = dict(zip(result.column("relu units"), result.column("best accuracy"), strict=True))
    solved = dict(zip(result.column("relu units"), result.column("solved"), strict=True))
    assert best[0] <= 2 / 3 and best[1] <= 2 / 3
    assert best[2] == 1 and solved[8] > solved[2] >= 1
    assert "right sign at 3 of 3" in result.findings[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_translation(seed):
    result = demos.translation(seed)
    accuracy = {row[:3]: row[4] for row in result.rows}
    assert abs(accuracy["linear", "all", "all"] - 1 / len(PATTERNS)) < 0.1
    assert accuracy["64 relu units", "all", "all"] > 0.9
    assert accuracy["64 relu units", "even", "even"] > 0.9
    assert accuracy["64 relu units", "even", "odd"] < 0.5
    assert "patterns are equal: each pixel is on 4 times" in result.findings[1]


def test_no_pattern_is_a_shift_of_another():
    shifts = [
        frozenset((place + shift) % N_POSITIONS for place in places)
        for places in PATTERNS.values()
        for shift in range(N_POSITIONS)
    ]
    assert len(set(shifts)) == len(shifts) == N_POSITIONS * len(PATTERNS)


@pytest.mark.parametrize("seed", SEEDS)
def test_spiral(seed):
    result = demos.spiral(seed)
    accuracy = dict(
        zip(result.column("hidden layers"), result.column("test accuracy"), strict=True)
    )
    assert accuracy["linear"] < 0.7 and accuracy["32-32"] > 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_circle(seed):
    result = demos.circle(seed)
    accuracy = dict(zip(result.column("hidden units"), result.column("test accuracy"), strict=True))
    assert accuracy[0] < 0.7 and accuracy[2] < 0.95
    assert accuracy[3] > 0.97 and accuracy[8] > 0.97


@pytest.mark.parametrize("seed", SEEDS)
def test_digits(seed):
    result = demos.digits(seed)
    linear, network = result.column("test accuracy")
    assert linear > 0.9 and network > 0.95 and network > linear
    assert result.rows[1][0] == "64-50-10"
    assert "1437 images for training, 360 for the test" in result.findings[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_approximation(seed):
    result = demos.approximation(seed, n_points=101, n_seeds=3)
    x = np.linspace(0, 1, 101)
    constant = np.std(bump(x))
    assert result.column("hidden units") == [1, 2, 4, 8, 16, 32]
    for name in ("RMSE, logistic", "RMSE, relu"):
        errors = result.column(name)
        assert errors[0] > 0.8 * constant  # one unit is monotone
        assert errors[5] < 0.02 * constant
        assert errors[2] > errors[3] > errors[5]
    # Two sigmoid units make a bump, two relu units none.
    assert result.column("RMSE, logistic")[1] < 0.02 < result.column("RMSE, relu")[1]


def test_bump_by_hand():
    x = np.linspace(0, 1, 201)
    by_hand = bump_by_hand(x)
    assert by_hand[100] == 1 and by_hand.argmax() == 100 and by_hand[[0, -1]].max() < 1e-4
    assert np.abs(by_hand - bump(x)).max() < 0.02


@pytest.mark.parametrize("seed", SEEDS)
def test_vanishing_gradients(seed):
    result = demos.vanishing_gradients(seed)
    ratios = dict(zip(result.columns[1:], result.rows[11][1:], strict=True))
    assert result.rows[11][0] == "first / last"
    assert ratios["logistic, glorot_normal"] < 1e-4
    assert ratios["tanh, glorot_normal"] > 1e-2 and ratios["relu, he_normal"] > 1e-2
    logistic, tanh, relu = result.rows[-1][1:]
    assert logistic > 0.95 * math.log(10) and tanh < 1 and relu < 1
    norms = np.array([row[1:] for row in result.rows[:11]])
    np.testing.assert_allclose(norms[0] / norms[-1], result.rows[11][1:])


def test_gradient_norms_are_those_of_the_loss():
    """The norm of the last layer's gradient, from the definition of the cross-entropy."""
    result = demos.vanishing_gradients(n_layers=1, width=4, n_rows=60, max_iter=1)
    assert [row[0] for row in result.rows[:2]] == ["layer 1", "layer 2"]
    from fastmlp import MLPClassifier
    from fastmlp.estimators.gradient_check import objective_of

    X, y = load_digits(return_X_y=True)
    X, y = X[:60] / 16, y[:60]
    model = MLPClassifier((4,), "tanh", init="glorot_normal", alpha=0.0, random_state=0)
    weights = objective_of(model, X, y).theta
    w1, w2 = weights[:256].reshape(64, 4), weights[256:296].reshape(4, 10)
    b1, b2 = weights[296:300], weights[300:]
    hidden = np.tanh(X @ w1 + b1)
    odds = np.exp(hidden @ w2 + b2)
    delta = odds / odds.sum(axis=1, keepdims=True) - (y[:, None] == np.arange(10))
    assert result.rows[1][2] == pytest.approx(np.linalg.norm(hidden.T @ delta / 60), rel=1e-6)


@pytest.mark.parametrize("corner", range(4))
def test_backpropagation(corner):
    result = demos.backpropagation(corner=corner, hidden=3)
    *hidden, output = result.rows
    assert len(hidden) == 3 and all(row[3] == pytest.approx(1 - row[2] ** 2) for row in hidden)
    assert output[5] == pytest.approx(output[2] - (corner in (1, 2)))
    for row in result.rows:
        assert row[5] == pytest.approx(row[3] * row[4])
    difference = float(re.search(r"differences by (\S+) at most", result.findings[2])[1])
    assert difference < 1e-6


def test_seeds_repeat_and_differ():
    assert demos.spiral(3).rows == demos.spiral(3).rows
    assert demos.spiral(3).rows != demos.spiral(4).rows


# ---- pictures ----------------------------------------------------------------------------


@pytest.fixture
def matplotlib():
    module = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    module.use("agg")
    yield module
    from matplotlib import pyplot

    pyplot.close("all")


QUICK = {
    "xor": ({"n_seeds": 4}, ["linear: 75%", "2 hidden units (tanh): 100%", "in the hidden layer"]),
    "threshold-units": ({}, ["logistic units, weights times 2", "one unit"]),
    "perceptron": ({}, ["two clouds: no mistake left", "exclusive or: never ends"]),
    "boolean-functions": ({"n_drawn": 10}, ["parity of 3 inputs by 8 units"]),
    "three-points": ({}, ["Three points on a line"]),
    "translation": ({"n_copies": 4}, ["pattern A", "pattern D", "positions in training and test"]),
    "spiral": ({"max_iter": 20}, ["training"]),
    "circle": ({"n_seeds": 3}, ["3 hidden units: 100% of test points"]),
    "digits": ({"hidden": 10}, ["training of 64-10-10"]),
    "approximation": ({"n_points": 31, "n_seeds": 1}, ["logistic units", "error of the fit"]),
    "vanishing-gradients": ({"max_iter": 2, "n_rows": 50}, ["before training", "training"]),
    "backpropagation": ({}, ["forward in black, back in colour"]),
}


def all_axes(figure):
    """Axes in the figure itself and those of its parts."""
    return [ax for part in (figure, *figure.subfigs) for ax in part.axes]


@pytest.mark.parametrize("name", demos.names())
def test_pictures(name, matplotlib, tmp_path):
    from fastmlp import plotting

    options, titles = QUICK[name]
    result = demos.run(name, 0, **options)
    figure = plotting.new_figure(*result.size)
    assert result.plot(figure) is figure
    axes = all_axes(figure)
    shown = {ax.get_title() for ax in axes}
    assert set(titles) <= shown
    for ax in axes:
        if ax.axison and ax.get_title():
            assert ax.get_xlabel(), ax.get_title()
    # Where axes find no room the layout warns, and warnings are errors here.
    plotting.save(figure, tmp_path / "picture.png", dpi=40)
    pixels = matplotlib.image.imread(tmp_path / "picture.png")
    assert pixels.shape[1] == pytest.approx(40 * result.size[0], abs=1) and pixels.std() > 0.05


def test_picture_of_the_approximation_shows_its_errors(matplotlib):
    result = demos.approximation(n_points=31, n_seeds=1)
    figure = result.plot()
    assert figure is matplotlib.pyplot.gcf()
    errors = {line.get_label(): line for line in figure.axes[2].get_lines()}
    np.testing.assert_array_equal(errors["relu"].get_ydata(), result.column("RMSE, relu"))
    np.testing.assert_array_equal(errors["relu"].get_xdata(), result.column("hidden units"))


def test_picture_of_the_spiral_hides_no_curve(matplotlib):
    figure = demos.spiral(max_iter=60).plot()
    curves = {line.get_label(): line for line in figure.axes[2].get_lines()}
    linear = curves.pop("linear")
    assert all(linear.get_zorder() > line.get_zorder() for line in curves.values())
    assert set(curves) > {"8", "32", "32-32"}
    # Nothing covers its colour.
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())
    color = np.rint(255 * np.array(matplotlib.colors.to_rgb(linear.get_color())))
    places = figure.axes[2].transData.transform(np.column_stack(linear.get_data()))
    rows, columns = pixels.shape[0] - 1 - places[:, 1].astype(int), places[:, 0].astype(int)
    shown = np.abs(pixels[rows, columns, :3] - color).max(axis=1) < 30
    assert shown[1:-1].all()


def test_picture_of_three_points_shows_the_boundary(matplotlib):
    figure = demos.three_points().plot()
    drawn = {line.get_label(): line for line in figure.axes[0].get_lines()}
    x, values = drawn["2 relu units: 100%"].get_data()
    at = drawn["boundary, 2 relu units"].get_xdata()[0]
    assert -1 < at < 0 and abs(np.interp(at, x, values)) < 0.2
    assert np.interp([-1, 1], x, values).min() > 0 > np.interp(0, x, values)
    slopes = np.diff(drawn["linear: 67%"].get_ydata())
    assert np.ptp(slopes) < 1e-9


# ---- files of digits ---------------------------------------------------------------------


@pytest.fixture
def images():
    X, y = load_digits(return_X_y=True)
    return X[:300].astype(np.uint8), y[:300]


def test_digits_from_an_archive_with_a_test_part(images, tmp_path):
    X, y = images
    path = tmp_path / "digits.npz"
    np.savez(path, x_train=X[:200].reshape(-1, 8, 8), y_train=y[:200],
             x_test=X[200:].reshape(-1, 8, 8), y_test=y[200:])  # fmt: skip
    (train, labels), (test, _), shape = load_images(path)
    assert shape == (8, 8) and train.shape == (200, 64) and test.shape == (100, 64)
    np.testing.assert_array_equal(train, X[:200])
    np.testing.assert_array_equal(labels, y[:200])
    result = demos.digits(data=path)
    assert "digits.npz: 200 images for training, 100 for the test" in result.findings[0]
    assert result.column("test accuracy")[1] > 0.8


@pytest.mark.parametrize("header", [True, False])
def test_digits_from_csv(images, tmp_path, header):
    X, y = images
    path = tmp_path / "digits.csv"
    if header:
        frame = pd.DataFrame(X, columns=[f"pixel{k}" for k in range(64)]).assign(Label=y)
    else:
        frame = pd.DataFrame(np.column_stack([y, X]))
    frame.to_csv(path, index=False, header=header)
    (train, labels), test, shape = load_images(path)
    assert test is None and shape == (8, 8)
    np.testing.assert_array_equal(train, X)
    np.testing.assert_array_equal(labels, y)


def test_digits_from_other_names_and_wide_images(images, tmp_path):
    X, y = images
    np.savez(tmp_path / "a.npz", images=X.reshape(-1, 4, 16, 1), labels=y)
    (train, _), _, shape = load_images(tmp_path / "a.npz")
    assert shape == (4, 16) and train.shape == (300, 64)


def test_bad_files_of_digits(images, tmp_path, monkeypatch):
    X, y = images
    monkeypatch.chdir(tmp_path)
    Path("text.npz").write_text("no archive")
    np.savez("names.npz", pictures=X, y=y)
    np.savez("short.npz", X=X, y=y[:-1])
    np.savez("color.npz", X=X.reshape(-1, 4, 4, 4), y=y)
    np.savez("oblong.npz", X=X[:, :60], y=y)
    np.savez("one.npz", X=X, y=0 * y)
    np.savez("nan.npz", X=np.where(X == 0, np.nan, X), y=y)
    np.savez("sizes.npz", x_train=X, y_train=y, x_test=X[:, :49], y_test=y)
    np.savez("text_pixels.npz", X=X.astype(str), y=y)
    np.savez("pickle.npz", X=X.astype(object), y=y)
    Path("words.csv").write_text("label,a,b\n1,x,2\n")
    Path("gap.csv").write_text("label,a\n1,3\n,4\n")
    Path("ragged.csv").write_text("1,2\n1,2,3\n")
    for name, message in {
        "none.npz": "there is no such file",
        "text.npz": "cannot be read as an archive",
        "names.npz": "the arrays are pictures, y; needed are",
        "short.npz": "300 images, but labels of shape (299,)",
        "color.npz": "got (300, 4, 4, 4)",
        "oblong.npz": "60 pixels are no square",
        "one.npz": "at least two classes",
        "nan.npz": "no finite numbers",
        "sizes.npz": "differ in size",
        "text_pixels.npz": "images must be numbers",
        "pickle.npz": "cannot be read as an archive",
        "words.csv": "besides the column of labels, 'label', all must be numbers",
        "gap.csv": "without a label in column 'label'",
        "ragged.csv": "cannot be read",
    }.items():
        error = fails("digits", "--data", name)
        assert error.startswith(f"fastmlp: {name}: ") and message in error


# ---- the command -------------------------------------------------------------------------


def test_demos_are_listed():
    for args in ((), ("--list",), ("xor", "--list")):
        listed = run(*args).stdout.splitlines()
        assert [line.split()[0] for line in listed] == demos.names()
    assert "two hidden units" in listed[0]
    assert list(json.loads(run("--json").stdout)["demos"]) == demos.names()


def test_a_demo_is_shown():
    result = demos.threshold_units()
    shown = run("threshold-units").stdout
    assert shown.startswith(f"{result.title}\n\n")
    lines = shown.splitlines()
    assert lines[2].split() == " ".join(result.columns).split()
    assert lines[4].split()[:5] == ["0", "1", "1", "0", "1"]
    flat = " ".join(shown.split())
    for text in (*result.findings, result.lesson):
        assert text.split(";")[0] in flat.replace("half- planes", "half-planes")
    assert lines[-2:] == [
        "topic: From threshold units to smooth ones",
        "to try it: fastmlp playground --lesson xor",
    ]
    assert "66.7%" in run("three-points").stdout


def test_json_of_a_demo():
    shown = json.loads(run("translation", "--json", "--seed", 5).stdout)
    result = demos.translation(5)
    assert shown["seed"] == 5 and shown["findings"] == result.findings
    assert [row["test accuracy"] for row in shown["rows"]] == result.column("test accuracy")
    assert shown["rows"][3]["training accuracy"] is None
    assert shown["topic"].startswith("Invariance") and shown["playground"] is None


def test_a_picture_is_written(matplotlib, tmp_path):
    path = tmp_path / "units.svg"
    assert f"picture: {path}" in run("threshold-units", "--plot", path).stdout
    assert path.read_text().startswith("<?xml")
    assert [p.name for p in tmp_path.iterdir()] == ["units.svg"]


def test_mistakes_are_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = fails("xr")
    assert error.startswith("fastmlp: no demo 'xr'; there are xor, threshold-units, ")
    assert all(name in error for name in demos.names())
    assert "--data is for the demo digits" in fails("xor", "--data", "mnist.npz")
    assert "name a demo" in fails("--plot", "picture.png")
    with pytest.raises(InputError, match="no demo 'x'"):
        demos.summary("x")
    with pytest.raises(AttributeError, match="no attribute 'hopfield'"):
        _ = demos.hopfield


def test_bad_pictures_are_told_before_any_training(matplotlib, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demos, "run", lambda *args, **kwargs: pytest.fail("it was run"))
    assert "there is no folder" in fails("xor", "--plot", "none/xor.png")
    assert "pictures end in one of" in fails("xor", "--plot", "xor.docx")
    assert not list(tmp_path.iterdir())


def test_pictures_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    error = fails("threshold-units", "--plot", tmp_path / "picture.png")
    assert "pip install 'fastmlp[plot]'" in error
    with pytest.raises(InputError, match="pip install"):
        demos.threshold_units().plot()
    assert run("threshold-units").stdout


def test_listing_is_light_and_names_are_lazy():
    heavy = {"numba", "sklearn", "numpy", "pandas", "matplotlib"}
    assert not imported_by("import fastmlp; fastmlp.demos.names()") & heavy
    loaded = imported_by("import fastmlp; fastmlp.plotting.save; fastmlp.demos.xor")
    assert "sklearn" in loaded and not loaded & {"numba", "matplotlib"}
    assert set(demos.__all__) <= set(dir(demos))
    for name in demos.__all__:
        assert callable(getattr(demos, name))


def test_the_class_of_a_result_has_a_public_path():
    assert isinstance(demos.threshold_units(gains=(2,)), demos.Result)
    assert f"{demos.Result.__module__}.{demos.Result.__qualname__}" == "fastmlp.demos.Result"
    assert "Result" in dir(demos)
