"""The models that ``python -m benchmarks.quality`` compares, each with its fair settings.

A model is a function of the split, the seed and the number of threads that returns two functions:
one that fits, and one that predicts the test rows (probabilities, or numbers). What they need is
imported, and text made to what they take, before either is timed.
"""

import numpy as np
import pandas as pd

MISSING = "(missing)"


def numbers_and_text(frame):
    """Names of the columns of numbers (truth values among them), and of all others."""
    numbers = [c for c in frame if pd.api.types.is_numeric_dtype(frame[c])]
    return numbers, [c for c in frame if c not in numbers]


def as_text(column, missing=None):
    """Strings, gaps as `missing`."""
    return column.astype(object).map(lambda value: missing if pd.isna(value) else str(value))


def native(split, most_levels=None, missing=None):
    """Both frames with text as categories, the levels of the training rows; plain column names.

    With `most_levels`, rarer levels are missing. With `missing`, gaps in text are a level of that
    name.
    """
    _, text = numbers_and_text(split.train)
    train, test = split.train.copy(), split.test.copy()
    for column in text:
        values, later = (as_text(f[column], missing) for f in (train, test))
        levels = values.value_counts().index[:most_levels]
        train[column] = pd.Categorical(values, categories=sorted(levels))
        test[column] = pd.Categorical(later, categories=sorted(levels))
    for frame in (train, test):
        for column in frame.select_dtypes("bool"):
            frame[column] = frame[column].astype(np.int64)
    names = {c: f"c{i}" for i, c in enumerate(train)}
    return train.rename(columns=names), test.rename(columns=names), [names[c] for c in text]


def without_gaps(train, test):
    """Numbers with the training rows' median where missing, and a column that says where."""
    train, test = train.copy(), test.copy()
    for column in train.select_dtypes("number").columns:
        gaps = train[column].isna()
        middle = train[column].median()
        if gaps.any() and not gaps.all():
            train[f"{column}_gap"] = gaps.astype(np.float64)
            test[f"{column}_gap"] = test[column].isna().astype(np.float64)
        middle = 0.0 if np.isnan(middle) else middle
        train[column] = train[column].astype(np.float64).fillna(middle)
        test[column] = test[column].astype(np.float64).fillna(middle)
    return train, test


def runs(model, train, y, test, **fit):
    """The two functions of a model with scikit-learn's methods."""
    predict = getattr(model, "predict_proba", model.predict)
    return lambda: model.fit(train, y, **fit), lambda: predict(test)


def standardised(split):
    """scikit-learn's usual inputs: median and indicator, standardised; text one-hot."""
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers, text = numbers_and_text(split.train)
    numbers = [c for c in numbers if split.train[c].notna().any()]
    filled = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    prepare = make_column_transformer(
        (filled, numbers), (OneHotEncoder(handle_unknown="ignore"), text)
    )
    frames = [f.copy() for f in (split.train, split.test)]
    for frame in frames:
        frame[numbers] = frame[numbers].astype(np.float64)
        for column in text:
            frame[column] = as_text(frame[column], MISSING)
    return prepare, *frames


def linear(split, seed, threads):
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline

    prepare, train, test = standardised(split)
    model = LogisticRegression(max_iter=2000) if split.task == "classification" else Ridge()
    return runs(make_pipeline(prepare, model), train, split.train_y, test)


def sklearn_mlp(split, seed, threads):
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    prepare, train, test = standardised(split)
    if split.task == "classification":
        model = MLPClassifier(random_state=seed)
    else:
        network = MLPRegressor(random_state=seed)
        model = TransformedTargetRegressor(network, transformer=StandardScaler())
    return runs(make_pipeline(prepare, model), train, split.train_y, test)


def hgb(split, seed, threads):
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    train, test, _ = native(split, most_levels=254)
    is_class = split.task == "classification"
    kind = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    model = kind(categorical_features="from_dtype", random_state=seed)
    return runs(model, train, split.train_y, test)


def lightgbm(split, seed, threads):
    from lightgbm import LGBMClassifier, LGBMRegressor

    train, test, _ = native(split)
    kind = LGBMClassifier if split.task == "classification" else LGBMRegressor
    model = kind(n_jobs=threads, random_state=seed, verbose=-1)
    return runs(model, train, split.train_y, test)


def catboost(split, seed, threads):
    from catboost import CatBoostClassifier, CatBoostRegressor

    train, test, text = native(split, missing=MISSING)
    for frame in (train, test):  # text, so that unknown levels are levels, as it wants them
        for column in text:
            frame[column] = frame[column].astype(object).where(frame[column].notna(), "(unknown)")
    kind = CatBoostClassifier if split.task == "classification" else CatBoostRegressor
    model = kind(
        thread_count=threads,
        random_seed=seed,
        verbose=0,
        allow_writing_files=False,
        cat_features=text,
    )
    return runs(model, train, split.train_y, test)


def xgboost(split, seed, threads):
    from xgboost import XGBClassifier, XGBRegressor

    train, test, _ = native(split)
    kind = XGBClassifier if split.task == "classification" else XGBRegressor
    model = kind(enable_categorical=True, n_jobs=threads, random_state=seed)
    return runs(model, train, split.train_y, test)


def neural(split, classifier, regressor, settings, seed, threads):
    """A model of pytabkit: no gaps in numbers; it holds out a fifth itself, by cross-entropy."""
    train, test, text = native(split, missing=MISSING)
    train, test = without_gaps(train, test)
    settings = settings | {"device": "cpu", "random_state": seed, "n_threads": threads}
    is_class = split.task == "classification"
    if is_class:
        settings["val_metric_name"] = "cross_entropy"
    model = (classifier if is_class else regressor)(**settings)
    return runs(model, train, split.train_y, test, cat_col_names=text)


def realmlp(split, seed, threads):
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    settings = {"use_ls": False} if split.task == "classification" else {}
    return neural(split, RealMLP_TD_Classifier, RealMLP_TD_Regressor, settings, seed, threads)


def tabm(split, seed, threads):
    from pytabkit import TabM_D_Classifier, TabM_D_Regressor

    settings = {
        "arch_type": "tabm-mini",
        "num_emb_type": "pwl",
        "weight_decay": 3e-4,
        "batch_size": "auto",
        "gradient_clipping_norm": 1.0,
    }
    return neural(split, TabM_D_Classifier, TabM_D_Regressor, settings, seed, threads)


# What each needs beside scikit-learn and pandas: where it is not installed, the model is not run.
PEERS = {
    "linear": (linear, None),
    "sklearn_mlp": (sklearn_mlp, None),
    "hgb": (hgb, None),
    "lightgbm": (lightgbm, "lightgbm"),
    "catboost": (catboost, "catboost"),
    "xgboost": (xgboost, "xgboost"),
    "realmlp": (realmlp, "pytabkit"),
    "tabm": (tabm, "pytabkit"),
}
