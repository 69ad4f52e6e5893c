"""Levels of text: blanks, missing values beside the word for them, and values not seen before."""

import warnings

import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest
from helpers import fit_quietly

from fastmlp import TabularPreprocessor, TabularRegressor, export_onnx, load_model, save_model
from fastmlp.exceptions import DataError, DataWarning
from fastmlp.tabular.levels import frequent_levels, level_codes, level_counts, unknown_levels
from fastmlp.tabular.train import evaluate, train_table

QUICK = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0}


def table(n=90):
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": rng.normal(size=n), "wood": rng.choice(["ash", "fir", "oak"], n)})
    return frame.assign(y=frame["x"] + (frame["wood"] == "oak"))


def test_blanks_make_no_level():
    frame = table()
    blank = [" ", "", "\t", "\N{NO-BREAK SPACE}"]
    spaced = frame.assign(wood=[blank[i % 4] + w + blank[i % 3] for i, w in enumerate(frame.wood)])
    plain, of_spaced = (train_table(f, **QUICK) for f in (frame, spaced))
    assert of_spaced.preprocessor_.levels_ == plain.preprocessor_.levels_
    expected = plain.predict(frame)
    for model in (plain, of_spaced):
        for data in (frame, spaced):
            np.testing.assert_array_equal(model.predict(data), expected)
    labels = train_table(frame[["x", "wood"]], **QUICK)
    assert evaluate(labels, spaced[["x", "wood"]]) == evaluate(labels, frame[["x", "wood"]])


def test_blanks_alone_are_missing():
    column = pd.Series(["a", "b", " ", "", None, "a", "b"], dtype=object)
    assert frequent_levels(level_counts(column), 1) == ["(missing)", "a", "b"]
    assert level_codes(column, ["(missing)", "a", "b"]).tolist() == [1, 2, 0, 0, 0, 1, 2]
    assert level_codes(column, ["b", "a"]).tolist() == [1, 0, 2, 2, 2, 1, 0]


def test_the_word_for_missing_is_another_level_than_a_missing_value(tmp_path):
    frame = table()
    frame["wood"] = [None, "(missing)", "oak"] * 30
    frame["y"] = [1.0, 2.0, 4.0] * 30
    frame.loc[0, "y"] = 1.5  # no level tells the target by itself
    prepared = TabularPreprocessor().fit(frame[["wood"]])
    inputs = prepared.transform(frame[["wood"]])
    assert len(np.unique(inputs, axis=0)) == 3
    names = prepared.get_feature_names_out()
    assert sorted(names) == ["wood_'(missing)'", "wood_(missing)", "wood_oak"]
    for value, name in (
        (None, "wood_(missing)"), (" (missing) ", "wood_'(missing)'"), ("", "wood_(missing)"),
    ):  # fmt: skip
        row = prepared.transform(pd.DataFrame({"wood": pd.Series([value], dtype=object)}))[0]
        assert names[np.argmax(row)] == name
    model = train_table(frame, **QUICK, test_size=0)
    save_model(model, tmp_path / "m.fastmlp")
    loaded = load_model(tmp_path / "m.fastmlp")
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    export_onnx(model, tmp_path / "m.onnx")
    feed = {
        "x": frame[["x"]].to_numpy(np.float64),
        "wood": frame[["wood"]].fillna("").to_numpy(dtype=object),
    }
    out = ort.InferenceSession(tmp_path / "m.onnx").run(None, feed)[0]
    np.testing.assert_allclose(out.ravel(), model.predict(frame), rtol=1e-5)


def test_the_word_is_missing_where_training_had_none():
    """So it was when the two were one level, as in the models of older versions."""
    assert level_codes(pd.Series(["(missing)", None, "a"]), ["a", "(missing)"]).tolist() == [
        1,
        1,
        0,
    ]
    assert level_codes(pd.Series(["(missing)", None]), ["a", "b"]).tolist() == [2, 2]
    assert level_codes(pd.Series(["x"]), [" x", "y"]).tolist() == [0]


def test_the_name_of_the_group_of_rare_levels_is_not_that_of_a_level():
    column = ["(other)"] * 40 + ["fir"] * 40 + [f"rare {i}" for i in range(10)]
    prepared = TabularPreprocessor().fit(pd.DataFrame({"wood": column}))
    assert sorted(prepared.get_feature_names_out()) == [
        "wood_'(other)'", "wood_(other)", "wood_fir",
    ]  # fmt: skip


def test_numbers_among_text_are_the_levels_of_their_digits():
    frame = table().assign(wood=pd.Series([1, "1", "oak"] * 30, dtype=object))
    levels = TabularPreprocessor().fit(frame[["x", "wood"]]).levels_
    assert levels == [["1", "oak"]]
    for column in ([1, 2], ["1", "2"], [1.0, 2.0], pd.array([1, 2], "Int64"), [1.0, np.nan]):
        assert level_codes(pd.Series(column), ["1", "oak"]).tolist() == [0, 2]
    assert level_codes(pd.Series([1, 2]), ["1.0", "oak"]).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("wood", "rows", "said"),
    [
        (lambda w: w.str.upper(), 90, r"has no value .*'OAK'.*training had 'fir'|differ only by"),
        (lambda w: w.str.upper(), 1, r"differ only by capitals or accents"),
        (lambda w: w + "!", 90, r"column 'wood' has no value that the model knows: it has '...!'"),
        (lambda w: w.where(np.arange(90) % 10 == 0, "elm"), 90, r"has only 9 of 90 values"),
        (lambda w: w.where(np.arange(90) % 3 == 0, "elm"), 90, None),
        (lambda w: w + "!", 1, None),
        (lambda w: w + "!", 9, None),
        (lambda w: w.where(w != w, None), 90, None),
    ],
)
def test_text_of_which_hardly_a_level_is_known_is_said(wood, rows, said):
    frame = table()
    model = train_table(frame, **QUICK)
    new = frame.assign(wood=wood(frame["wood"])).head(rows)
    if said is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.predict(new)
        return
    for use in (model.predict, lambda data: evaluate(model, data), model.preprocessor_.transform):
        with pytest.warns(DataWarning, match=said) as caught:
            use(new)
        assert len(caught) == 1 and caught[0].filename == __file__


def test_rare_levels_of_the_training_are_expected():
    levels = ["ash"]
    column = pd.Series(["ash"] * 3 + [f"rare {i}" for i in range(27)])
    is_unknown = level_codes(column, levels) == 1
    assert unknown_levels(column, is_unknown, levels, rare_share=0.0)
    assert not unknown_levels(column, is_unknown, levels, rare_share=0.7)
    frame = pd.DataFrame({"wood": column.tolist() * 2 + ["ash"] * 30, "x": np.arange(90.0) % 7})
    frame["wood"] += [f" {i}" if i < 60 and i % 30 > 2 else "" for i in range(90)]
    (described,) = [c for c in TabularPreprocessor().fit(frame).columns_ if c["kind"] == "text"]
    assert described["rare_share"] == pytest.approx(0.6)


def test_classes_that_differ_by_capitals_are_named():
    frame = table().assign(y=["Yes", "No"] * 45)
    model = train_table(frame, **QUICK)
    with pytest.raises(DataError, match=r"'NO', which .* know; its class 'No' differs only by cap"):
        evaluate(model, frame.assign(y=["YES", "NO"] * 45))
    with pytest.raises(DataError, match=r"the class 'maybe', which the model does not know$"):
        evaluate(model, frame.assign(y=["maybe", "No"] * 45))


def test_a_table_is_not_changed():
    frame = table().assign(y=lambda f: f["y"].map("{:.2f} €".format), wood=lambda f: f.wood + " ")
    before = frame.copy(deep=True)
    with pytest.warns(DataWarning):
        model = fit_quietly(TabularRegressor(**QUICK), frame[["x", "wood"]], frame["y"])
    model.predict(frame)
    pd.testing.assert_frame_equal(frame, before)
