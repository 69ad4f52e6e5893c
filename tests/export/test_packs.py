"""Model files of packs: what was saved predicts the same, and nothing that does not fit is read."""

import pickle
import pickletools
import warnings
import zipfile

import numpy as np
import pytest
from crafted import LABELS, QUICK, Crafted, npy, plain, refused
from packs import TABLE, TARGETS, fitted, with_pack

from fastmlp import ModelFileError, TabularClassifier, load_model, save_model, train_table
from fastmlp.tabular.pack.kinds import KINDS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

REGRESSION = "numbers"
E = "estimator_"


@pytest.fixture(scope="module")
def models():
    return {name: fitted(name) for name in TARGETS}


@pytest.fixture(scope="module")
def files(models, folder):
    for name, model in models.items():
        save_model(model, folder / f"pack {name}")
    return {name: folder / f"pack {name}" for name in models}


@pytest.fixture
def labels(files):
    return Crafted(files["labels"])


@pytest.fixture
def numbers(files):
    return Crafted(files[REGRESSION])


@pytest.mark.parametrize("name", TARGETS)
def test_packs_come_back_equal(models, files, name):
    model, loaded = models[name], load_model(files[name])
    odd = TABLE.assign(size=np.nan, weight=1e9, colour="seen nowhere")
    for frame in (TABLE, TABLE[:1], odd):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of text that no row had
            np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
            if name != REGRESSION:
                np.testing.assert_array_equal(
                    loaded.predict_proba(frame), model.predict_proba(frame)
                )
    pack, expected = loaded.estimator_, model.estimator_
    assert pack.weights == expected.weights and pack.kinds == expected.kinds
    assert [m.kind for m in pack.members] == [m.kind for m in expected.members]


def test_a_pack_of_one_kind_in_a_file_of_its_range(tmp_path):
    """The base alone has no further groups of inputs."""
    model = TabularClassifier((3,), **QUICK).fit(TABLE, LABELS)
    model = with_pack(
        model, TABLE, LABELS, n_bins=0, bin_edges="quantile", target_means=False, linear=False
    )
    assert {member.kind for member in model.estimator_.members} == {"plain"}
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(TABLE), model.predict_proba(TABLE))


def test_members_hold_what_a_prediction_needs(models):
    for member in models["labels"].estimator_.members:
        found = vars(member.network).keys() - member.network.get_params().keys()
        assert found == {
            "coefs_", "intercepts_", "n_features_in_", "n_outputs_", "n_layers_", "n_iter_",
            "out_activation_", "classes_", "_label_binarizer",
        }  # fmt: skip


def test_files_and_pickles_of_packs_name_public_paths(models, files):
    words = [word for _, word, _ in pickletools.genops(pickle.dumps(models["labels"]))]
    assert {"Pack", "Member"} <= {word for word in words if isinstance(word, str)}
    with zipfile.ZipFile(files["labels"]) as archive:
        schema = archive.read("schema.json").decode()
    for text in (*map(str, words), schema):
        assert "fastmlp.tab" not in text and "fastmlp.est" not in text


def test_large_arrays_are_stored_as_they_are(tmp_path):
    """To compress weights takes most of the time of saving, and saves little."""
    model = TabularClassifier((400, 100), **QUICK).fit(TABLE, LABELS)
    save_model(model, tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model") as archive:
        for info in archive.infolist():
            is_large = info.filename.endswith(".npy") and info.file_size > 64 * 1024
            assert (info.compress_type == zipfile.ZIP_STORED) == is_large or (
                info.filename == "fastmlp.json"
            )
    loaded = load_model(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_proba(TABLE), model.predict_proba(TABLE))


@pytest.fixture(scope="module")
def trained(folder):
    """A file of a pack that was really trained: networks of given parameters over folds."""
    table = TABLE.assign(t=TARGETS["labels"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = train_table(table, "t", hidden_layer_sizes=(3,), members=2, **QUICK)
    save_model(model, folder / "trained")
    return model, folder / "trained"


def test_packs_that_were_trained_come_back_equal(trained):
    model, path = trained
    loaded = load_model(path)
    assert loaded.report_ == model.report_ and loaded.report_["networks"] == 2
    np.testing.assert_array_equal(loaded.predict_proba(TABLE), model.predict_proba(TABLE))


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (7, ("networks",)), ("x", ("networks",)), (5, ("pack",)), ([{}], ("pack",)),
        (None, ("loss",)), (None, ("pack", 0, "loss")), ("x", ("pack", 0, "folds")),
        (1, ("why",)), ("x", ("date_columns",)), ([1, 2], ("layers",)), (1, ("cut_short",)),
    ],
    ids=str,
)  # fmt: skip
def test_reports_of_other_packs_are_refused(trained, tmp_path, value, names):
    crafted = Crafted(trained[1])
    crafted.put(plain(value), "report_", *names)
    refused(crafted.write(tmp_path / "evil"), "damaged.*`report_")


# ---- files that were changed -------------------------------------------------------------

FIRST, SECOND, *_ = NAMES = [kind.name for kind in KINDS]
EQUAL = dict.fromkeys(NAMES, 1 / len(NAMES))
M = "estimator_", "members", 2
WRONG_VALUES = {
    "no members": ([], (E, "members"), "members` is empty"),
    "no list": ({"a": 1}, (E, "members"), "members` is no list"),
    "no member": ([1], (E, "members"), r"members\[0\]` is no Member"),
    "start": (-1, (*M, "start"), r"members\[2\].start` is no count"),
    "start of another range": (1, (*M, "start"), r"members\[2\].network` has"),
    "end": (10**6, (*M, "stop"), r"members\[2\].stop` ends no range of"),
    "start behind the end": (10**6, (*M, "start"), r"members\[2\].stop` ends no range of"),
    "kind": ("other", (*M, "kind"), "weights` are of other kinds"),
    "kind that is no text": (1, (*M, "kind"), r"members\[2\].kind` is no text"),
    "fold": ("x", (*M, "fold"), r"members\[2\].fold` is no count"),
    "score": ("x", (*M, "score"), r"members\[2\].score` is no number"),
    "seconds": (None, (*M, "seconds"), r"members\[2\].seconds` is no number"),
    "network": (None, (*M, "network"), r"members\[2\].network` is no MLPClassifier"),
    "activation": ("sin", (*M, "network", "activation"), r"members\[2\].network"),
    "outputs": (2, (*M, "network", "n_outputs_"), r"members\[2\].network.n_outputs_` is 2"),
    "epochs of a member": (7, (*M, "network", "n_iter_"), "n_iter_` is not"),
    "epochs": (1, (E, "n_iter_"), "n_iter_` is not"),
    "weight below 0": (
        {**EQUAL, FIRST: -0.2, SECOND: 0.2 + 2 / len(NAMES)}, (E, "weights"), "is no share"
    ),
    "weight that is not finite": ({**EQUAL, FIRST: np.nan}, (E, "weights"), "is no share"),
    "sum": ({**EQUAL, FIRST: 0.7}, (E, "weights"), "have another sum than 1"),
    "one weight more": ({**EQUAL, "more": 0}, (E, "weights"), "of other kinds"),
    "one weight less": ({FIRST: 1}, (E, "weights"), "of other kinds"),
    "weights": ([0.2] * 5, (E, "weights"), "weights` is no dict"),
    "weight": ({**EQUAL, FIRST: "x"}, (E, "weights"), r"weights\['\w+'\]` is no number"),
    "bounds of classes": (None, (E, "bounds"), ""),
    "kinds": ([1], (E, "kinds"), r"kinds\[0\]` is no dict"),
    "half a kind": ([{"kind": FIRST}], (E, "kinds"), r"kinds\[0\]` has no "),
    "folds of a kind": ("x", (E, "kinds", 0, "folds"), r"kinds\[0\]\['folds'\]` is no count"),
    "loss": ("x", (E, "loss"), "loss` is no number"),
    "cut": (1, (E, "is_cut_short"), "is_cut_short` is no truth value"),
    "method": (1, (E, "predict"), "predict` is no attribute of a Pack"),
    "method of a member": (1, (*M, "new_"), "new_` is no attribute of a Member"),
    "threshold": (0.5, ("threshold_",), "threshold_` is for two classes"),
    "no threshold": ("x", ("threshold_",), "threshold_` is no number"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_packs_that_do_not_fit_are_refused(labels, tmp_path, name):
    value, names, message = WRONG_VALUES[name]
    labels.put(plain(value), *names)
    labels.drop_unused()
    if not message:
        assert load_model(labels.write(tmp_path / "good")).estimator_.bounds is None
        return
    refused(labels.write(tmp_path / "evil"), f"damaged.*{message}")


@pytest.mark.parametrize("name", ["members", "weights", "bounds", "kinds", "loss", "n_iter_"])
def test_packs_that_lack_something_are_refused(labels, tmp_path, name):
    labels.remove(E, name)
    labels.drop_unused()
    refused(labels.write(tmp_path / "evil"), f"`estimator_` has no attribute '{name}'")


WRONG_ARRAYS = {
    "shape": ((*M, "network", "coefs_", 0), np.ones((2, 8), "f4"), r"members\[2\].network.coefs_"),
    "dtype": ((*M, "network", "coefs_", 0), np.ones((10, 4)), r"members\[2\].network.coefs_"),
    "biases": ((*M, "network", "intercepts_", 0), np.ones(3, "f4"), r"members\[2\].network.coefs_"),
    "other classes": ((E, "classes_"), np.array(["a", "b"]), "outputs"),
    "classes in disorder": ((E, "classes_"), np.array(["b", "a", "c"]), "increasing order"),
    "one class": ((E, "classes_"), np.array(["b"]), "single class"),
    "classes of a member": (
        (*M, "network", "classes_"), np.array([0, 1, 3]), r"members\[2\].network.classes_"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_ARRAYS)
def test_arrays_of_packs_that_do_not_fit_are_refused(labels, tmp_path, name):
    names, value, message = WRONG_ARRAYS[name]
    labels.members[labels.node(*names)["file"]] = npy(value)
    refused(labels.write(tmp_path / "evil"), f"damaged.*{message}")


def test_all_weights_of_a_pack_are_float32(labels, tmp_path):
    """As wider ones would not be predicted below the checks."""
    network = labels.node(*M, "network")
    for name in ("coefs_", "intercepts_"):
        attribute = network["content"]["content"][name]
        for item in attribute["content"]:
            content = labels.members[item["file"]]
            with zipfile.ZipFile(tmp_path / "x", "w") as archive:
                archive.writestr("a.npy", content)
            array = np.load(tmp_path / "x")["a"]
            labels.members[item["file"]] = npy(array.astype(np.float64))
    refused(labels.write(tmp_path / "evil"), r"members\[2\].network.coefs_` is not float32")


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([0.0, 1.0], "is no list"), ((1.0, 0.0), "no range"), ((0.0,), "no range"),
        ((0.0, np.inf), "no range"), ((np.nan, 1.0), "no range"), ((0.0, "x"), "is no number"),
    ],
)  # fmt: skip
def test_bounds_that_are_no_range_are_refused(models, files, numbers, tmp_path, bounds, message):
    node = plain(list(bounds))
    if isinstance(bounds, tuple):
        node.update({"__class__": "tuple", "__loader__": "TupleNode"})
    numbers.put(node, E, "bounds")
    refused(numbers.write(tmp_path / "evil"), f"bounds.*{message}")


def test_packs_of_another_task_are_refused(labels, numbers, tmp_path):
    of_labels, of_numbers = labels.node(E), numbers.node(E)
    members = {**labels.members, **numbers.members}
    for crafted, pack in ((labels.copy(), of_numbers), (numbers.copy(), of_labels)):
        crafted.members = {**members, "fastmlp.json": crafted.members["fastmlp.json"]}
        crafted.put(pack, E)
        crafted.drop_unused()
        refused(crafted.write(tmp_path / "evil"), "damaged.*`estimator_")
    labels.remove(E, "classes_")
    labels.drop_unused()
    refused(labels.write(tmp_path / "evil"), "`estimator_` has no classes_")
    numbers.put(numbers.add_array(np.array([0, 1])), E, "classes_")
    refused(numbers.write(tmp_path / "evil"), r"`estimator_\.classes_` is of no regression")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"weights": {FIRST: 1.0}}, r"`estimator_\.weights` are of other kinds"),
        ({"bounds": (0.0, 1.0)}, r"`estimator_\.bounds` is for numbers alone"),
        ({"loss": len}, "`estimator_.loss` holds objects of type builtins.len"),
        ({"members": []}, r"`estimator_\.members` is empty"),
        ({"more": 1}, r"`estimator_\.more` is no attribute"),
    ],
    ids=lambda part: "-".join(part) if isinstance(part, dict) else "",
)
def test_packs_that_cannot_be_loaded_are_not_saved(files, tmp_path, attributes, message):
    model = load_model(files["labels"])
    vars(model.estimator_).update(attributes)
    with pytest.raises(ModelFileError, match=message):
        save_model(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_thresholds_are_between_0_and_1(files, tmp_path):
    crafted = Crafted(files["two"])
    crafted.put(plain(0.3), "threshold_")
    assert load_model(crafted.write(tmp_path / "model")).threshold_ == 0.3
    crafted.put(plain(1.5), "threshold_")
    refused(crafted.write(tmp_path / "evil"), "threshold_` is not between 0 and 1")
