"""What pictures show: labels, lines and their data."""

import re
import sys
import warnings

import naive
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastmlp import MLPClassifier, MLPRegressor, TabularClassifier, plotting, trace
from fastmlp.estimators.parameters import ACTIVATIONS
from fastmlp.exceptions import InputError

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("agg")

from matplotlib import pyplot  # noqa: E402


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    pyplot.close("all")


@pytest.fixture
def ax():
    return plotting.new_figure().subplots()


def fitted(estimator, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, y)


def iris(n_classes=3):
    X, y = load_iris(return_X_y=True)
    kept = y < n_classes
    return X[kept][:, :2], np.array(["setosa", "versicolor", "virginica"])[y[kept]]


def classifier(n_classes=3, **options):
    X, y = iris(n_classes)
    return fitted(MLPClassifier((6,), max_iter=20, random_state=0, **options), X, y)


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


# ---- learning curves ---------------------------------------------------------------------


def test_learning_curve(ax):
    model = classifier(early_stopping=True)
    assert plotting.learning_curve(model, ax) is ax
    drawn = lines(ax)["training loss"]
    np.testing.assert_array_equal(drawn.get_ydata(), model.loss_curve_)
    np.testing.assert_array_equal(drawn.get_xdata(), np.arange(1, model.n_iter_ + 1))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    (right,) = [other for other in ax.figure.axes if other is not ax]
    assert right.get_ylabel() == "validation score"
    np.testing.assert_array_equal(right.get_lines()[0].get_ydata(), model.validation_scores_)
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {"training loss", "validation score"} <= set(legend)


def test_learning_curve_of_a_history(ax):
    model = classifier()
    n = len(model.loss_curve_)
    model.history_ = {
        "loss": np.geomspace(1, 1e-3, n).tolist(),
        "validation_loss": np.geomspace(2, 1e-2, n).tolist(),
        "dead_units": [[0.0, 0.5]] * n,
        "learning_rate": [0.1] * n,
    }
    plotting.learning_curve(model, ax, beside="dead_units")
    assert list(lines(ax)) == ["training loss", "validation loss"]
    np.testing.assert_array_equal(
        lines(ax)["validation loss"].get_ydata(), model.history_["validation_loss"]
    )
    assert ax.get_yscale() == "log"
    right = lines(ax.figure.axes[1])
    assert list(right) == ["dead units, layer 1", "dead units, layer 2"]
    assert set(right["dead units, layer 2"].get_ydata()) == {0.5}
    styles = {line.get_linestyle() for line in (*ax.get_lines(), *right.values())}
    assert len(styles) == 4


def test_epochs_that_were_not_scored_are_gaps(ax):
    options = {"lr_schedule": "multi_cycle", "early_stopping": True, "scoring": "loss"}
    model = classifier(n_iter_no_change=99, tol=0, **options)
    scores = np.array(model.validation_scores_)
    scored = np.flatnonzero(~np.isnan(scores))
    assert 0 < scored.size < scores.size
    plotting.learning_curve(model, ax)
    (right,) = [other for other in ax.figure.axes if other is not ax]
    for axes, label, expected in (
        (ax, "validation loss", -scores[scored]),
        (right, "validation score", scores[scored]),
    ):
        drawn = lines(axes)[label]
        np.testing.assert_array_equal(drawn.get_xdata(), scored + 1)
        np.testing.assert_array_equal(drawn.get_ydata(), expected)


def test_learning_curve_of_one_line_has_no_legend(ax):
    plotting.learning_curve(classifier(), ax)
    assert ax.get_legend() is None and len(ax.figure.axes) == 1 and ax.get_yscale() == "linear"


def test_learning_curve_without_axes_makes_a_figure():
    before = pyplot.get_fignums()
    made = plotting.learning_curve(classifier(solver="lbfgs"))
    assert pyplot.get_fignums() != before and made.figure is pyplot.gcf()
    assert made.get_xlabel() == "iteration"


def test_learning_curve_of_other_models(ax):
    X, y = iris()
    model = fitted(make_pipeline(StandardScaler(), MLPClassifier((3,), max_iter=5)), X, y)
    plotting.learning_curve(model, ax)
    assert len(lines(ax)["training loss"].get_ydata()) == 5
    theirs = fitted(TheirClassifier((3,), max_iter=4), X, y)
    plotting.learning_curve(theirs, ax)
    np.testing.assert_array_equal(ax.get_lines()[-1].get_ydata(), theirs.loss_curve_)


def test_learning_curves_that_cannot_be(ax):
    X, y = iris()
    with pytest.raises(InputError, match=r"no record of 'speed'; there are .*loss"):
        plotting.learning_curve(classifier(), ax, beside="speed")
    with pytest.raises(InputError, match="no record of its loss"):
        plotting.learning_curve(fitted(TheirClassifier((3,), "relu", solver="lbfgs"), X, y), ax)
    with pytest.raises(InputError, match="perceptron is needed, got LinearRegression"):
        plotting.learning_curve(LinearRegression().fit([[1], [2]], [1, 2]), ax)
    with pytest.raises(NotFittedError):
        plotting.learning_curve(MLPClassifier(), ax)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_packs_have_no_curve_and_no_images_of_one_network():
    rows = np.random.RandomState(0).normal(size=(40, 4))
    pack = TabularClassifier((3,), max_iter=2, members=2, random_state=0)
    pack.fit(rows, np.arange(40) % 2)
    for draw in (plotting.learning_curve, plotting.first_layer_weights):
        with pytest.raises(InputError, match="a pack of 2 networks, and a single one is needed"):
            draw(pack)


# ---- confusion matrices ------------------------------------------------------------------


class Fixed(MLPClassifier):
    """A classifier whose predictions are known."""

    classes_ = np.array(["a", "b"])

    def predict(self, X):
        return np.array(X)[:, 0]


def test_confusion_matrix(ax):
    predicted = [["a"], ["a"], ["b"], ["a"], ["b"]]
    assert plotting.confusion_matrix(Fixed(), predicted, ["a", "a", "a", "b", "b"], ax) is ax
    assert [text.get_text() for text in ax.texts] == ["2\n67%", "1\n33%", "1\n50%", "1\n50%"]
    np.testing.assert_allclose(ax.images[0].get_array(), [[2 / 3, 1 / 3], [0.5, 0.5]])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]


def test_confusion_matrix_of_a_class_that_does_not_occur(ax):
    plotting.confusion_matrix(Fixed(), [["a"], ["b"]], ["a", "a"], ax)
    np.testing.assert_array_equal(ax.images[0].get_array(), [[0.5, 0.5], [0, 0]])


def test_confusion_matrix_of_many_classes_has_no_numbers(ax):
    names = np.array([f"{k:02}" for k in range(20)])
    plotting.confusion_matrix(Fixed(), names[:, None], names, ax)
    assert not ax.texts and ax.images[0].get_array().shape == (22, 22)


def test_confusion_matrices_that_cannot_be(ax):
    with pytest.raises(InputError, match="needs a classifier, got LinearRegression"):
        plotting.confusion_matrix(LinearRegression(), [[1]], [1], ax)
    with pytest.raises(InputError, match=r"one column, got shape \(2, 2\)"):
        plotting.confusion_matrix(Fixed(), [["a"], ["b"]], [["a", "b"], ["a", "b"]], ax)


# ---- decision boundaries -----------------------------------------------------------------


def test_boundary_of_two_classes(ax):
    X, y = iris(2)
    frame = pd.DataFrame(X, columns=["u", "v"])
    model = fitted(MLPClassifier((6,), solver="lbfgs", random_state=0), frame, y)
    assert plotting.decision_boundary(model, frame, y, ax) is ax
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("u", "v")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["setosa", "versicolor"]
    mesh, line, *classes = ax.collections
    shown = np.asarray(mesh.get_array())
    assert 0 <= shown.min() < 0.1 and 0.9 < shown.max() <= 1
    np.testing.assert_array_equal(classes[0].get_offsets(), X[y == "setosa"])
    # Along the line the classes are equally likely, and there is some of it to see.
    path = np.concatenate([path.vertices for path in line.get_paths()])
    assert len(path) > 10
    path = pd.DataFrame(path, columns=["u", "v"])
    np.testing.assert_allclose(model.predict_proba(path)[:, 1], 0.5, atol=0.05)
    assert ax.figure.axes[1].get_ylabel() == "probability of versicolor"


def test_boundary_where_one_class_is_everywhere_has_no_line(ax):
    model = classifier(2)
    model.coefs_ = [0 * w for w in model.coefs_]
    model.intercepts_ = [0 * b for b in model.intercepts_]
    model.intercepts_[-1] = model.intercepts_[-1] + 3.0
    plotting.decision_boundary(model, *iris(2), ax)
    assert len(ax.collections) == 3  # the regions, and the points of two classes


def test_boundary_of_three_classes(ax):
    X, y = iris()
    model = classifier(solver="lbfgs")
    plotting.decision_boundary(model, X, y, ax)
    assert len(ax.get_legend().get_texts()) == 3
    regions, points = ax.collections[:3], ax.collections[3:]
    # Each place belongs to the region of one class alone.
    hidden = np.array([np.ma.getmaskarray(region.get_array()) for region in regions])
    assert ((~hidden).sum(axis=0) == 1).all()
    colors = {tuple(np.round(p.get_facecolor()[0], 3)) for p in points}
    assert len(colors) == 3
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature 1", "feature 2")


def test_surface_of_a_regressor(ax):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = X[:, 0] - X[:, 1]
    model = fitted(MLPRegressor(hidden_layer_sizes=(), solver="lbfgs"), X, y)
    plotting.decision_boundary(model, X, y[:, None], ax)
    contours, points = ax.collections
    np.testing.assert_allclose(points.get_array(), y)
    assert contours.levels[0] <= y.min() and contours.levels[-1] >= y.max()
    assert ax.figure.axes[1].get_ylabel() == "prediction"


def test_boundary_needs_two_features(ax):
    X, y = load_iris(return_X_y=True)
    model = fitted(MLPClassifier((3,), max_iter=2), X, y)
    with pytest.raises(InputError, match=r"two features, got shape \(150, 4\); train on two"):
        plotting.decision_boundary(model, X, y, ax)
    with pytest.raises(InputError, match="one column"):
        plotting.decision_boundary(model, X[:, :2], np.column_stack([y, y]), ax)


# ---- weights -----------------------------------------------------------------------------


def images_model(n_features=16, n_units=5):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, n_features)).astype(np.float32)
    return fitted(MLPClassifier((n_units,), max_iter=2, random_state=0), X, X[:, 0] > 0)


def test_first_layer_weights():
    model = images_model()
    axes = plotting.first_layer_weights(model)
    assert axes.shape == (2, 3)
    for k in range(5):
        shown = axes.flat[k].images[0]
        np.testing.assert_array_equal(shown.get_array(), model.coefs_[0][:, k].reshape(4, 4))
        assert shown.norm.vmin == -shown.norm.vmax == -np.abs(model.coefs_[0]).max()
    assert not axes.flat[5].images
    assert axes.flat[0].figure.axes[-1].get_ylabel() == "weight"


def test_weights_in_given_axes_and_shape():
    axes = plotting.new_figure().subplots(1, 2)
    assert plotting.first_layer_weights(images_model(6), (2, 3), axes).shape == (2,)
    assert [ax.images[0].get_array().shape for ax in axes] == [(2, 3)] * 2
    one = plotting.new_figure().subplots()
    assert list(plotting.first_layer_weights(images_model(), axes=one)) == [one]


def test_weights_that_are_no_images():
    with pytest.raises(InputError, match=r"6 features are no square.*pass image_shape="):
        plotting.first_layer_weights(images_model(6))
    with pytest.raises(InputError, match=r"\(2, 2\) does not have the 6 pixels"):
        plotting.first_layer_weights(images_model(6), (2, 2))


# ---- activations -------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activation_functions(ax, name):
    plotting.activation_functions([name], ax)
    z, values = lines(ax)[name].get_data()
    function, derivative = naive.ACTIVATIONS[name]
    np.testing.assert_allclose(values, function(z), atol=1e-12)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("input z", "activation f(z)")
    other = plotting.new_figure().subplots()
    plotting.activation_functions(name, other, derivatives=True)
    np.testing.assert_allclose(lines(other)[name].get_ydata(), derivative(z), atol=1e-8)
    assert other.get_ylabel() == "derivative f'(z)"


def test_all_activations_can_be_told_apart(ax):
    plotting.activation_functions(ax=ax)
    drawn = [line for name, line in lines(ax).items() if not name.startswith("_")]
    assert {line.get_label() for line in drawn} == ACTIVATIONS
    looks = {(line.get_color(), line.get_marker()) for line in drawn}
    assert len(looks) == len(drawn) == len(ax.get_legend().get_texts())


def test_unknown_activations(ax):
    with pytest.raises(InputError, match="no activation 'sine'; there are identity, logistic"):
        plotting.activation_functions(["relu", "sine"], ax)


# ---- files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ending, start", [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("SVG", b"<?xml")]
)
def test_save(tmp_path, ax, ending, start):
    path = tmp_path / f"picture.{ending}"
    plotting.save(plotting.activation_functions(ax=ax), path)
    assert path.read_bytes().startswith(start)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_failed_save_leaves_the_old_file(tmp_path, ax, monkeypatch):
    path = tmp_path / "picture.png"
    path.write_text("old")

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ax.figure, "savefig", fail)
    with pytest.raises(OSError, match="No space left"):
        plotting.save(ax.figure, path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_pictures_that_cannot_be_written(tmp_path, ax):
    for name in ("picture.docx", "picture"):
        with pytest.raises(InputError, match=rf"{name}: pictures end in one of .*\.png"):
            plotting.save(ax, tmp_path / name)
    with pytest.raises(InputError, match="there is no folder"):
        plotting.save(ax, tmp_path / "none" / "picture.png")


def graph_of(hidden, n_features=2, n_classes=2, **options):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, n_features)), np.arange(12) % n_classes
    model = fitted(MLPClassifier(hidden, "tanh", max_iter=2, random_state=0, **options), X, y)
    return trace(model, X[0], y[0])


def test_computation_graph_has_every_number(ax):
    graph = graph_of((3,), n_classes=3)
    assert plotting.computation_graph(graph, ax) is ax
    shown = [text.get_text() for text in ax.texts]
    numbers = [f"{w:.3g}" for layer in graph.layers for w in (*layer.W.flat, *layer.dL_dW.flat)]
    assert sorted(text for text in shown if re.fullmatch(r"-?[\d.]+(e-?\d+)?", text)) == sorted(
        numbers
    )
    for layer, h in zip(graph.layers, "hp", strict=True):
        for j in range(3):
            assert f"b = {layer.b[j]:.3g}\nz = {layer.z[j]:.3g}\n{h} = {layer.h[j]:.3g}" in shown
            of_h, of_z = layer.dL_dh[j], layer.dL_dz[j]
            assert f"dL/d{h} = {of_h:.3g}\ndL/dz = dL/db = {of_z:.3g}" in shown
    for x, signal in zip(graph.x, graph.dL_dx, strict=True):
        assert {f"x = {x:.3g}", f"dL/dx = {signal:.3g}"} <= set(shown)
    assert f"t = 1, 0, 0\nL = {graph.loss:.3g}" in shown
    assert {"inputs", "tanh", "softmax", "cross entropy"} <= set(shown)


@pytest.mark.parametrize("hidden", [(), (1,), (5,), (3, 2), (4, 5)])
def test_numbers_of_a_computation_graph_do_not_hide_each_other(hidden):
    ax = plotting.computation_graph(graph_of(hidden, n_classes=3))
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    for i, one in enumerate(boxes):
        for text, other in zip(ax.texts[i + 1 :], boxes[i + 1 :], strict=True):
            overlap = (
                min(one.x1, other.x1) - max(one.x0, other.x0),
                min(one.y1, other.y1) - max(one.y0, other.y0),
            )
            assert min(overlap) < 1, (ax.texts[i].get_text(), text.get_text())


def test_large_networks_are_not_drawn(ax):
    for graph in (graph_of((6,)), graph_of((5, 5)), graph_of((1, 1, 1, 1)), graph_of((1,), 6)):
        with pytest.raises(InputError, match="is too large to draw: at most 5 units in a layer"):
            plotting.computation_graph(graph, ax)
    with pytest.raises(InputError, match="what trace returns, not of MLPClassifier"):
        plotting.computation_graph(MLPClassifier(), ax)


def test_without_matplotlib_all_say_what_to_install(monkeypatch):
    model, (X, y) = classifier(), iris()
    graph = graph_of((1,))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for draw in (
        lambda: plotting.learning_curve(model),
        lambda: plotting.confusion_matrix(model, X, y),
        lambda: plotting.decision_boundary(model, X, y),
        lambda: plotting.first_layer_weights(model),
        lambda: plotting.computation_graph(graph),
        plotting.activation_functions,
        plotting.new_figure,
        lambda: plotting.check_picture("picture.png"),
    ):
        with pytest.raises(InputError, match=r"pip install 'fastmlp\[plot\]'"):
            draw()
