"""What the playground trains: its data, its sessions, and the code that it shows."""

import json
import shlex
import warnings
from io import BytesIO

import numpy as np
import pytest
from fastmlp_cli.main import main

from fastmlp import demos, load_model, trace
from fastmlp.estimators.planning import layer_units
from fastmlp.exceptions import InputError
from fastmlp.network.weights import flatten

pytest.importorskip("starlette", reason="the extra serve is not installed")

from fastmlp.playground import data, training
from fastmlp.playground.lessons import LESSONS, catalogue
from fastmlp.playground.sessions import MOST_SESSIONS, Session, Sessions, describe_table
from fastmlp.playground.settings import ACTIVATIONS, NUMBERS, read_settings

TABLE = "a,b,c,kind\n" + "".join(
    f"{i % 7},{(3 * i) % 11},{i % 5 + 0.5},{'odd' if i % 3 else 'even'}\n" for i in range(40)
)


@pytest.fixture
def opened():
    """Open sessions that end with the test."""
    found = []

    def session(**settings):
        found.append(Session(read_settings(settings)))
        return found[-1]

    yield session
    for one in found:
        one.training.close()


def trained(session, n_epochs):
    """The frame after some epochs, however many requests they take."""
    while session.training.n_epochs < n_epochs and not session.training.ending:
        session.advance(n_epochs - session.training.n_epochs, 0)
    return session.frame(n_epochs, 0)


def lesson(name):
    return LESSONS[name].settings


@pytest.mark.parametrize("kind", data.KINDS)
def test_points_of_each_kind(kind):
    points = data.made_points(kind, 100, 0.1, 3)
    again = data.made_points(kind, 100, 0.1, 3)
    assert points.places.shape == (100, 2) and np.isfinite(points.places).all()
    assert (points.places == again.places).all() and (points.y == again.y).all()
    assert (points.places != data.made_points(kind, 100, 0.1, 4).places).any() or kind == "bump"
    if points.classes:
        assert set(points.y) == {0, 1}
    else:
        assert np.abs(points.y).max() < 3
    assert np.abs(points.places).max() < 2 * data.RADIUS


def test_painted_points_are_added():
    points = data.made_points("moons", 20, 0, 0, [(1, 2, 0), (0.5, 0.25, 1)])
    assert points.places[-1].tolist() == [0.5, 0.25] and points.y[-2:].tolist() == [0, 1]
    on_line = data.made_points("bump", 20, 0, 0, [(1, 2, 0.5)])
    assert on_line.places[-1].tolist() == [1, 0] and on_line.y[-1] == 0.5
    alone = data.made_points("painted", 20, 0, 0, [(1, 2, 0), (0.5, 0.25, 1)])
    assert len(alone.y) == 2
    for kind, points in (("painted", [(0, 0, 1)]), ("moons", [(0, 0, 0.5)])):
        with pytest.raises(InputError, match="class"):
            data.made_points(kind, 20, 0, 0, points)


def test_a_table_becomes_points():
    points = data.table_points(BytesIO(TABLE.encode()), "kind", ["a", "c"])
    assert points.classes == ["even", "odd"] and points.axes == ("a", "c")
    assert np.allclose(points.places.mean(axis=0), 0) and np.allclose(points.places.std(axis=0), 1)
    components = data.table_points(BytesIO(TABLE.encode()), "kind")
    assert components.axes == ("component 1", "component 2")
    assert abs(np.corrcoef(components.places.T)[0, 1]) < 1e-9
    # A number with many values is a regression.
    many = "x,y,z\n" + "".join(f"{i},{i * i % 13},{i / 3}\n" for i in range(30))
    assert data.table_points(BytesIO(many.encode()), "z").classes == []


def test_rows_that_cannot_be_used_are_told():
    text = TABLE.replace("0,0,0.5,even\n", "0,,0.5,even\n", 1)
    points = data.table_points(BytesIO(text.encode()), "kind")
    assert points.notes == ["1 row with missing values is left out."] and len(points.y) == 39
    long = "a,b,kind\n" + "".join(f"{i},{i % 9},{i % 2}\n" for i in range(1200))
    assert len(data.table_points(BytesIO(long.encode()), "kind").y) == data.MOST_POINTS


@pytest.mark.parametrize(
    ("target", "axes", "message"),
    [
        ("none", [], "no column 'none'"),
        ("kind", ["a", "none"], "no column 'none'"),
        ("a", ["b", "kind"], "not one of numbers"),
    ],
)
def test_columns_that_are_not_there(target, axes, message):
    with pytest.raises(InputError, match=message):
        data.table_points(BytesIO(TABLE.encode()), target, axes)


def test_large_numbers_do_not_overflow():
    text = "a,b,c,kind\n" + "".join(
        f"{i % 7}e307,{(3 * i) % 11}e-315,{i}e300,{i % 2}\n" for i in range(40)
    )
    points = data.table_points(BytesIO(text.encode()), "kind", ["a", "c"])
    small = data.table_points(BytesIO(text.replace("e30", "e0").encode()), "kind", ["a", "c"])
    assert np.allclose(points.places, small.places) and np.isfinite(points.places).all()
    assert np.allclose(data.table_points(BytesIO(text.encode()), "c", ["a", "b"]).y.std(), 1)


def test_a_constant_column_is_told_and_no_target():
    text = "a,b,c\n" + "".join(f"{i},2.5,{i % 3}\n" for i in range(20))
    points = data.table_points(BytesIO(text.encode()), "c")
    assert points.notes == ["The same number in every row, which tells nothing: 'b'."]
    for target, changed in (("b", "b"), ("b", "text")):
        given = text if changed == "b" else text.replace("2.5", "one")
        with pytest.raises(InputError, match=r"same number in every row|has 1 class;"):
            data.table_points(BytesIO(given.encode()), target, ["a", "c"])


def test_the_split_keeps_two_points_to_train_on():
    points = data.made_points("painted", 20, 0, 0, [(1, 2, 0), (0.5, 0.25, 1)])
    rows = data.split(points, ["x1", "x2"], 0.8, 0)
    assert len(rows.y_train) == 2 and len(rows.y_test) == 0
    rows = data.split(data.made_points("xor", 100, 0, 0), ["x1*x2", "sin(x1)"], 0.25, 1)
    assert rows.X_train.shape == (75, 2) and rows.X_test.shape == (25, 2)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hidden": [], "n_points": 40},
        {"hidden": [5, 3], "activation": ["relu", "logistic"], "dropout": 0.2, "l1": 0.01},
        {"solver": "lbfgs", "alpha": 0.01},
        {"solver": "sgd", "schedule": "cosine", "max_iter": 60},
        {"solver": "gd", "schedule": "plateau", "init": "he_normal", "test_share": 0},
        {"kind": "wave", "loss": "huber", "features": ["x1", "x1^2"]},
        {"kind": "painted", "painted": [[0, 0, 0], [1, 1, 1], [1, 0.5, 1]], "batch_size": 1},
        {"kind": "table", "table": TABLE, "target": "kind", "axes": ["b", "a"]},
        {"kind": "table", "table": TABLE, "target": "kind"},
    ],
)
def test_the_program_on_the_page_gives_the_same_weights(opened, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text(settings.get("table", ""))
    session = opened(**settings)
    frame = trained(session, 23)
    recorded = session.training.recorded(frame["epoch"])
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        exec(session.code(frame["epoch"])["python"], names)
    model = names["model"]
    assert model.n_iter_ == recorded.epoch > 5
    theta = flatten(model.coefs_, model.intercepts_, np.float64)
    assert (theta == recorded.theta).all()


def test_the_program_of_a_training_that_diverges_ends_with_the_weights_of_the_page(opened):
    session = opened(**lesson("high-rate"))
    frame = trained(session, 200)
    assert "diverged" in frame["ending"]
    for epoch in (frame["epoch"] - 1, frame["epoch"]):
        names = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that numbers overflow
            exec(session.code(epoch)["python"], names)
        theta = flatten(names["model"].coefs_, names["model"].intercepts_, np.float64)
        assert (theta == session.training.recorded(epoch).theta).all()
        assert ("DivergenceError" in session.code(epoch)["python"]) == (epoch == frame["epoch"])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"hidden": []},
        {"kind": "bump", "schedule": "cosine", "max_iter": 20},
        {"features": ["x1^2", "x1*x2", "sin(x2)"], "hidden": [3], "activation": "silu"},
        {"kind": "table", "table": TABLE, "target": "kind", "dropout": 0.1, "loss": "margin"},
        {"kind": "wave", "solver": "lbfgs", "features": ["x1", "x1^2"]},
    ],
)
def test_the_command_on_the_page_runs(opened, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = opened(n_points=60, **settings)
    trained(session, 3)
    (tmp_path / "points.csv").write_text(session.table())
    words = shlex.split(session.code(3)["shell"].replace("\\\n", " "))
    assert words.pop(0) == "fastmlp"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main.main([*words, "--quiet", "-o", "m.fastmlp"], standalone_mode=False)
    network = load_model(tmp_path / "m.fastmlp").estimator_
    assert layer_units(network) == session.observer.plan.layer_units
    assert network.n_iter_ == 3 or "schedule" in settings


def test_every_lesson_can_be_opened(opened):
    for _, text, settings in LESSONS.values():
        assert text.endswith(".") and opened(**settings).frame(0, 0)["is_finite"]
    assert len(catalogue()["lessons"]) == len(LESSONS)


def test_demos_name_lessons_that_there_are():
    named = [about for about in map(demos.about, demos.names()) if about.lesson]
    assert len(named) > 5 and {about.lesson for about in named} <= set(LESSONS)
    assert all(demos.about(name).topic for name in demos.names())


def test_lessons_show_what_they_say(opened):
    line = trained(opened(**lesson("linear-xor")), 300)
    assert line["train_score"] < 0.8 and line["losses"][-1] > 0.6
    assert trained(opened(**lesson("xor")), 300)["train_score"] == 1
    norms = trained(opened(**lesson("vanishing")), 2)["gradients"]
    assert norms[0] < 1e-3 * norms[-1]
    assert max(trained(opened(**lesson("dead-relus")), 30)["dead"]) > 0.9
    diverged = trained(opened(**lesson("high-rate")), 200)
    assert "non-finite" in diverged["ending"] and diverged["losses"][0] is not None
    over = trained(opened(**lesson("overfitting")), 300)
    cured = trained(opened(**lesson("overfitting-cured")), 300)
    assert over["test_losses"][-1] > 2 * cured["test_losses"][-1]
    one, two = ({**lesson("bump"), "hidden": [n]} for n in (1, 2))
    assert trained(opened(**one), 500)["train_score"] < 0.5
    assert trained(opened(**two), 500)["train_score"] > 0.95


def test_epochs_are_recorded_and_thinned_out(opened, monkeypatch):
    monkeypatch.setattr(training, "_MOST_KEPT", 16)
    session = opened(n_points=20, hidden=[1])
    whole = trained(session, 100)
    assert whole["epoch"] == whole["n_epochs"] == 100 == len(whole["losses"])
    epochs = [session.frame(n, 100)["epoch"] for n in range(101)]
    assert epochs[0] == 0 and epochs[-1] == 100 and epochs == sorted(epochs)
    assert 8 <= len(set(epochs)) <= 18 and all(e <= n for n, e in enumerate(epochs))
    first = session.frame(0, 100)
    assert first["weights"] != whole["weights"] and first["losses"] == []


def test_a_request_is_bounded_in_time_and_training_in_epochs(opened, monkeypatch):
    monkeypatch.setattr(training, "_LONGEST", 0.0)
    session = opened(max_iter=3)
    assert session.advance(1000, 0)["n_epochs"] == 1
    assert trained(session, 10)["ending"] == "The last epoch is reached."
    assert session.advance(5, 0)["n_epochs"] == 3 and not session.training.is_alive


def test_a_frame_waits_for_an_epoch_that_is_trained(opened, monkeypatch):
    session = opened()
    owned = []
    look = session.observer.look
    monkeypatch.setattr(
        session.observer,
        "look",
        lambda theta: owned.append(session.lock._is_owned()) or look(theta),
    )
    session.frame(0, 0)
    session.advance(1, 0)
    assert owned == [True, True]


def test_the_thread_waits_and_ends(opened):
    session = opened()
    assert not session.training.is_alive
    session.advance(2, 0)
    assert session.training.is_alive and session.training.n_epochs == 2
    session.training.close()
    assert not session.training.is_alive and session.advance(5, 0)["n_epochs"] <= 3


def test_pictures_are_those_of_the_network(opened):
    session = opened(kind="moons", hidden=[3], activation="relu", seed=2)
    trained(session, 20)
    theta, model = session.training.recorded(20).theta, session.observer._model
    hidden, outputs = session.observer.activations(theta, session.rows.X_train)
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(session.code(20)["python"], names)
    expected = names["model"].predict_proba(session.rows.X_train)[:, 1]
    assert np.allclose(outputs[:, 0], expected, atol=1e-12)
    z = session.rows.X_train @ names["model"].coefs_[0] + names["model"].intercepts_[0]
    assert np.allclose(hidden, np.maximum(z, 0), atol=1e-12)
    assert model.hidden_layer_sizes == (3,)
    accuracy = names["model"].score(session.rows.X_train, session.rows.y_train)
    assert session.frame(20, 20)["train_score"] == accuracy
    told = session.point(20, session.points.places[0].tolist())
    assert len(told["layers"]) == 2 and len(told["layers"][0]) == 3


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "moons", "hidden": [3, 2], "alpha": 0.1, "dropout": 0.2},
        {"kind": "moons", "hidden": [], "loss": "margin"},
        {"kind": "wave", "hidden": [4], "activation": "relu", "loss": "huber"},
        {"kind": "table", "table": TABLE, "target": "kind"},
    ],
)
def test_a_clicked_point_has_the_graph_of_a_trace(opened, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text(settings.get("table", ""))
    session = opened(n_points=30, seed=2, **settings)
    epoch = trained(session, 5)["epoch"]
    names = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        exec(session.code(epoch)["python"], names)
    points = session.points
    for i in (0, 1, 7, 8):
        place, y = points.places[i], points.y[i]
        shown = [place[0], y if points.is_line else place[1]]
        told = session.point(epoch, [shown[0] + 0.001, shown[1] - 0.001])
        x = data.inputs_at(place[None], session.features)
        graph = trace(names["model"], x, [y])
        assert np.allclose(told["place"], shown, rtol=1e-3)
        assert told["point"]["loss"] == pytest.approx(graph.loss, rel=1e-3)
        for j, layer in enumerate(graph.layers):
            assert np.allclose(told["layers"][j], layer.h, rtol=1e-3, atol=1e-9)
            assert np.allclose(told["point"]["signals"][j], layer.dL_dz, rtol=1e-3, atol=1e-9)
            gradients = np.transpose(told["point"]["gradients"][j])
            assert np.allclose(gradients, layer.dL_dW, rtol=1e-3, atol=1e-9)
        target = points.classes[y] if points.classes else pytest.approx(y, rel=1e-3)
        assert told["point"]["target"] == target
    away = session.point(epoch, [90, 90])
    assert away["point"] is None and away["place"] == [90, 90] and away["layers"][-1]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", ["circle", "hills"])
def test_a_point_is_told_of_weights_that_have_diverged(opened, activation, kind):
    session = opened(kind=kind, activation=activation, n_points=20)
    theta = session.training.recorded(0).theta
    place = session.points.places[0].tolist()
    for scale in (1e3, 1e150, np.inf):
        told = session.observer.point(theta * scale, place)
        json.dumps(told, allow_nan=False)
        assert told["inputs"] and len(told["layers"]) == 3


def test_several_classes_and_a_class_that_no_trained_row_has(opened):
    text = "a,b,kind\n" + "".join(f"{i % 6},{i % 4},{'xyz'[i % 3]}\n" for i in range(60))
    session = opened(kind="table", table=text, target="kind")
    frame = trained(session, 5)
    assert session.points.classes == ["x", "y", "z"] and frame["classes"]
    rare = "a,b,kind\n" + "".join(f"{i},{i % 4},{'y' if i == 7 else 'x'}\n" for i in range(12))
    for seed in range(6):
        session = opened(kind="table", table=rare, target="kind", data_seed=seed)
        assert 0 <= trained(session, 3)["train_score"] <= 1
        told = session.point(3, session.points.places[7].tolist())
        assert (told["point"] is None) == session.described()["is_test"][7]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "an object"),
        ({"nonsense": 1}, "no setting 'nonsense'"),
        ({"hidden": [1] * 7}, "at most 6"),
        ({"hidden": [17]}, "from 1 to 16"),
        ({"hidden": [True]}, "from 1 to 16"),
        ({"hidden": [2], "activation": ["relu", "relu"]}, "2 entries for 1"),
        ({"activation": "rellu"}, "activation must be one of"),
        ({"activation": {}}, "a list"),
        ({"kind": "../etc"}, "kind must be one of"),
        ({"kind": []}, "kind must be one of"),
        ({"features": []}, "at least one"),
        ({"features": ["x1", "x1"]}, "each of them once"),
        ({"n_points": 1e9}, "an integer"),
        ({"noise": float("nan")}, "a number"),
        ({"painted": [[1, 2]]}, "three numbers"),
        ({"painted": [[1, 2, float("inf")]]}, "three numbers"),
        ({"painted": [[0, 0, 1]] * 501}, "at most 500"),
        ({"table": 5}, "must be text"),
    ],
)
def test_settings_out_of_bounds(given, message):
    with pytest.raises(InputError, match=message):
        read_settings(given)


def test_bounds_of_numbers_are_those_that_the_page_has():
    for key, (least, most, default) in catalogue()["numbers"].items():
        assert least <= default <= most and key in NUMBERS
        read_settings({key: most})


def test_sessions_end(monkeypatch):
    sessions = Sessions(idle_seconds=100)
    settings = read_settings({"n_points": 20, "hidden": [1]})
    key, session = sessions.open(settings)
    session.advance(1, 0)
    sessions.close_idle()
    assert sessions.find(key) is session
    session.used -= 101
    sessions.close_idle()
    assert len(sessions) == 0 and not session.training.is_alive
    with pytest.raises(Exception, match="has ended"):
        sessions.find(key)
    opened = [sessions.open(settings)[1] for _ in range(MOST_SESSIONS)]
    with pytest.raises(Exception, match="too many"):
        sessions.open(settings)
    opened[3].used -= 60  # it gives way
    sessions.open(settings)
    assert len(sessions) == MOST_SESSIONS
    sessions.close_all()
    assert len(sessions) == 0


def test_columns_of_a_table_are_told():
    found = describe_table(TABLE.encode())
    assert [c["name"] for c in found["columns"]] == ["a", "b", "c", "kind"]
    assert [c["is_number"] for c in found["columns"]] == [True, True, True, False]
    assert found["n_rows"] == 40
