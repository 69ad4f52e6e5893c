"""Tables for a fitted model are read as that which it was trained on."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest

from fastmlp import DataWarning, TabularPreprocessor, load_model, save_model
from fastmlp.exceptions import DataError
from fastmlp.tabular.csv import read_table
from fastmlp.tabular.train import evaluate, read_for, train_table

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3, "test_size": 0}


def fitted(table, path=None, **options):
    """Train on a table that is read with the options; save and load the model if asked."""
    task = options.get("task", "auto")
    frame = read_table(io.StringIO(table), **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # such small tables have copies of the target
        model = train_table(frame, options.get("target"), task=task, **SMALL)
    if path is not None:
        save_model(model, path)
        model = load_model(path)
    return model


def rows(*lines, n=40):
    return "".join(f"{lines[i % len(lines)].replace('#', str(i))}\n" for i in range(n))


def test_decimal_marks_are_remembered(tmp_path):
    text = "a;b;y\n" + rows("1,5;#,25;#", "2.000;#,5;#,5")
    model = fitted(text, tmp_path / "m.fastmlp", decimal=",", separator=";")
    frame = read_for(model, io.StringIO("a;b\n3,5;1.000,5\n2;7\n"), separator=";")
    assert frame["a"].tolist() == [3.5, 2] and frame["b"].tolist() == [1000.5, 7]
    frame = read_for(model, io.StringIO("a;b\n3.5;1\n"), separator=";", decimal=".")
    assert frame["a"].tolist() == [3.5]
    np.testing.assert_array_equal(
        model.predict(read_for(model, io.StringIO("a;b\n3,5;1\n"), separator=";")),
        model.predict(read_for(model, io.StringIO("a,b\n3.5,1\n"), decimal=".")),
    )


def test_a_single_mark_of_missing_values_is_one():
    frame = pd.DataFrame({"a": np.arange(40.0), "y": np.arange(40) % 7})
    model = train_table(frame, "y", "regression", na_values="-99", **SMALL)
    read = read_for(model, io.StringIO("a\n9\n-99\n-1\n8\n"), na_values="-1")
    assert read["a"].isna().tolist() == [False, True, True, False]


def test_text_is_remembered(tmp_path):
    text = "land,code,y\n" + rows("NA,007,#", "BW,010,#.5")
    model = fitted(text, tmp_path / "m.fastmlp", text=["land", "code"])
    frame = read_for(model, io.StringIO("code,land\n007,NA\n7,\n"))
    assert frame["code"].tolist() == ["007", "7"]
    assert frame["land"].isna().tolist() == [False, True]
    # What was read as text without being asked to has missing words.
    model = fitted("land,y\n" + rows("ZA,#", "BW,#.5"))
    assert read_for(model, io.StringIO("land\nNA\nBW\n"))["land"].isna().tolist() == [True, False]


def test_codes_of_classes_are_predicted_and_compared_as_they_stand(tmp_path):
    text = "size,code\n" + rows("0.1,01", "0.9,02")
    model = fitted(text, tmp_path / "m.fastmlp")
    assert model.classes_.tolist() == ["01", "02"]
    frame = read_for(model, io.StringIO(text))
    assert frame["code"].tolist()[:2] == ["01", "02"]
    assert set(evaluate(model, frame)) >= {"accuracy"}
    with pytest.raises(DataError, match="has the class '1'"):
        evaluate(model, read_for(model, io.StringIO("size,code\n0.1,1\n")))
    # A model of numbers takes zeros in front of them for what they are.
    model = fitted("size,code\n" + rows("0.1,1", "0.9,2"))
    frame = read_for(model, io.StringIO("size,code\n0.1,01\n"))
    assert frame["code"].tolist() == [1]


def test_numbers_in_a_foreign_form_are_left_to_the_model():
    model = fitted("price,y\n" + rows("1,#", "2,#.5"))
    model.columns_[0]["number_format"] = "currency"
    assert read_for(model, io.StringIO("price\n12\n"))["price"].tolist() == ["12"]
    model.target_format_ = "currency"
    assert read_for(model, io.StringIO("price,y\n12,5\n"))["y"].tolist() == ["5"]


def test_marks_of_missing_values_are_remembered():
    text = "a,b,y\n" + rows("?,1,#", "2,2,#.5")
    model = fitted(text, na_values=["?"])
    assert model.na_values_ == ["?"]
    assert read_for(model, io.StringIO("a,b\n?,-\n1,2\n"), na_values=["-"]).isna().sum().sum() == 2


def test_columns_that_were_left_out_need_not_be_there(tmp_path):
    model = fitted("Id,a,y\n" + rows("#,1,#", "#,2,#.5"), tmp_path / "m.fastmlp", drop=["Id"])
    assert [column["name"] for column in model.columns_] == ["a"]
    assert len(model.predict(read_for(model, io.StringIO("a\n1\n2\n")))) == 2
    assert len(model.predict(read_for(model, io.StringIO("Id,a\nx,1\n")))) == 1


def test_tables_without_header(tmp_path):
    text = rows("1.5,oak,#,0.5", "2.5,ash,#,0.7")
    model = fitted(text, tmp_path / "m.fastmlp", header=False, target="1", drop=["4"])
    assert model.target_name_ == "1"
    names = [column["name"] for column in model.columns_]
    assert names == ["2", "3"]
    for line, found in {
        "9,ash,7,8": ["1", "2", "3", "4"],
        "ash,7,8": ["2", "3", "4"],  # without the target
        "ash,7": ["2", "3"],  # without the column that was left out, too
    }.items():
        frame = read_for(model, io.StringIO(f"{line}\n{line}\n"))
        assert list(frame) == found and len(model.predict(frame)) == 2
        assert frame["2"].tolist() == ["ash"] * 2 and frame["3"].tolist() == [7] * 2
    with pytest.raises(DataError, match=r"5 columns without names, .* trained on 2 or 3 or 4"):
        read_for(model, io.StringIO("1,2,3,4,5\n"))
    # A header can be asked for.
    frame = read_for(model, io.StringIO("3,2\n7,ash\n"), header=True)
    assert list(frame) == ["3", "2"]


def test_no_rows_are_for_predictions_alone():
    model = fitted("a,wood,y\n" + rows("1,oak,#", "2,ash,#.5"))
    frame = read_for(model, io.StringIO("a,wood\n"))
    assert frame.shape == (0, 2) and frame["a"].dtype == float
    with pytest.raises(DataError, match="a header but no row"):
        read_for(model, io.StringIO("a,wood,y\n"), allow_empty=False)
    with pytest.raises(DataError, match="no rows"):
        evaluate(model, frame.assign(y=1.0))


def test_names_that_a_model_knows_are_no_data():
    """Nothing is remarked that was remarked in training."""
    text = "0.5,12\n" + rows("1.#,01#", "2.#,02#")
    with pytest.warns(DataWarning, match="looks like data|is read as numbers"):
        model = fitted(text, header=True)
    assert len(read_for(model, io.StringIO(text))) == 40


@pytest.mark.parametrize("task", ["auto", "classification"])
def test_a_word_that_was_read_as_missing_is_named(task):
    text = "a,land\n" + rows("1,BW", "2,ZA", "3,NA")
    with pytest.raises(DataError) as error:
        fitted(text, task=task)
    message = str(error.value)
    assert "target column 'land' is missing in 13 of 40 rows (the first is row 3)" in message
    assert message.endswith(
        "the text 'NA' in row 3 was read as missing: if it is a value, use text=['land']"
    )
    model = fitted(text, task=task, text=["land"])
    assert model.classes_.tolist() == ["BW", "NA", "ZA"]
    frame = read_for(model, io.StringIO(text))
    assert set(evaluate(model, frame)) >= {"accuracy"}
    with pytest.raises(DataError, match=r"remove or fill these rows$"):
        fitted("a,land\n" + rows("1,BW", "2,ZA", "3,"))


@pytest.mark.parametrize("noted", [None, "in March", ["x"], {"by": "Ann", "text": 5}], ids=str)
def test_frames_of_others_have_no_reading(noted):
    frame = pd.DataFrame({"a": np.arange(40.0), "y": np.arange(40.0) ** 2})
    if noted is not None:
        frame.attrs["reading"] = noted
    model = train_table(frame, na_values=["?"], **SMALL)
    assert model.reading_ == {} and model.na_values_ == ["?"]
    assert read_for(model, io.StringIO("a\n1\n"))["a"].tolist() == [1]


def test_columns_without_names_that_were_put_in_another_order_or_renamed():
    text = rows("0.5,#,7,#.25", "1.5,#,9,#.75")
    frame = read_table(io.StringIO(text), header=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        model = train_table(frame[["2", "1", "4"]], "4", "regression", **SMALL)
        renamed = train_table(frame.set_axis(list("abcy"), axis=1), "y", "regression", **SMALL)
    found = read_for(model, io.StringIO("1.5,30\n"))
    assert found["1"].tolist() == [1.5] and found["2"].tolist() == [30]
    with pytest.raises(DataError, match=r"which were renamed later; .* use header=True"):
        read_for(renamed, io.StringIO(text))
    named = read_for(renamed, io.StringIO("a,b,c\n1.5,30,7\n"), header=True)
    assert len(renamed.predict(named)) == 1


def test_nothing_is_remarked_on_columns_that_a_model_does_not_use():
    model = fitted("a,y\n" + rows("1,#", "2,#.5"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        text = "a,code,word,long\n1,007,NA,123456789012345678\n2,8,,9\n"
        assert len(read_for(model, io.StringIO(text))) == 2


@pytest.mark.parametrize(("decimal", "price"), [(",", 1.25), (".", 1250), (None, 1250)])
def test_a_decimal_mark_that_was_named_counts_beside_units_as_well(decimal, price):
    text = "price,x,y\n" + rows('"1,250 kr",4,#', '"3,750 kr",9,#', '"2,125 kr",5,#')
    frame = read_table(io.StringIO(text), decimal=decimal)
    with pytest.warns(DataWarning, match="'price' is read as numbers") as caught:
        model = train_table(frame, None, "regression", **SMALL)
    (said,) = {str(w.message) for w in caught if "'price'" in str(w.message)}
    assert f"'1,250 kr' is {price:g}" in said and ("say so with" in said) == (decimal is None)
    read = read_for(model, io.StringIO('price,x\n"1,250 kr",3\n'))
    expected = model.predict(pd.DataFrame({"price": [float(price)], "x": [3]}))
    np.testing.assert_array_equal(model.predict(read), expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = TabularPreprocessor().fit(frame).columns_
    assert again[0]["number_format"] == model.columns_[0]["number_format"]


def test_names_that_a_model_needs_cannot_be_left_out():
    model = fitted("a,wood,y\n" + rows("1.5,oak,#", "2.5,ash,#.5"))
    with pytest.raises(DataError, match=r"by these \(a, wood\); add a line of names above"):
        read_for(model, io.StringIO("1.5,oak\n2.5,ash\n"), header=False)
    with pytest.warns(DataWarning, match="looks like data .* if it is, add a line of names above"):
        read_for(model, io.StringIO("1.5,oak\n2.5,ash\n"))


@pytest.mark.parametrize("mark", [",", "."])
def test_a_table_with_the_decimal_marks_of_another_country(mark):
    english = "a;y\n" + rows("1.5;#.5", "2.25;#.25")
    texts = {".": english, ",": english.replace(".", ",")}
    other = texts.pop(mark)
    (own,) = texts.values()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # which says how numbers are read
        model = fitted(own, separator=";")
        frame = read_for(model, io.StringIO(other), separator=";", decimal=mark)
        same = read_for(model, io.StringIO(own), separator=";")
        failing = read_for(model, io.StringIO(other), separator=";")
    assert evaluate(model, frame) == evaluate(model, same)
    with pytest.raises(DataError, match=rf"decimal \w+, use decimal='\{mark}'$"):
        evaluate(model, failing)
    with pytest.raises(DataError, match=rf"decimal \w+, use decimal='\{mark}'$"):
        model.predict(failing)
