"""input_gradients: what a small change of each input, or of each number of a table, would do."""

from typing import Any

from ..estimators.base import BaseMLP
from ..estimators.input_gradients import network_gradients


def input_gradients(
    model: Any,
    X: Any,
    class_: Any = None,
    *,
    output: int | None = None,
    of: str = "prediction",
    times_input: bool = False,
) -> Any:
    r"""Compute for each row the gradient of a model's output with respect to its inputs.

    Element j of a row's gradient is :math:`\partial f / \partial x_j`, where f is what the model
    predicts: the probability of a class, or a number. Such gradients are known as saliency
    (Simonyan, Vedaldi and Zisserman, 2014), and times the input as gradient * input (Shrikumar,
    Greenside and Kundaje, 2017). They say what a *small* change would do; where a probability is
    almost 0 or 1 nearly nothing does, so that Simonyan et al. take the score instead.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier or TabularRegressor
        Fitted.
    X : array-like or sparse matrix of shape (n_rows, n_features), or data frame
        As for ``predict``, also an array on a GPU.
    class_ : label, optional
        The class of a classifier whose probability is differentiated; by default the one that is
        predicted for each row.
    output : int, optional
        The number of an output: of several targets or quantiles of a regressor, or of several
        labels of a classifier. By default all of them. Quantiles are numbered as they are
        predicted, in increasing order.
    of : {'prediction', 'score'}, default='prediction'
        'prediction' differentiates what ``predict_proba`` gives for the class, or ``predict`` of a
        regressor. 'score' takes the pre-activation of the output unit, before softmax, logistic
        function or exponential. Of two classes the score of the second one is the logarithm of its
        odds, and that of the first one the negative of it.
    times_input : bool, default=False
        Whether to multiply each gradient by the input itself.

    Returns
    -------
    ndarray of shape (n_rows, n_features), or (n_rows, n_outputs, n_features) for several outputs
        In the type of the weights, and dense for a sparse X, too. Where ``times_input`` is true and
        X is sparse, a sparse matrix of shape (n_rows, n_features) in compressed rows that has the
        entries of X, or a list with one for each of several outputs. For a model of a table, a
        data frame of shape (n_rows, n_numeric_columns) in float64: the rows of X, and the numeric
        columns that the model uses. Columns of text and dates have no gradient.

    Raises
    ------
    InputError
        When there is no such class or output, or when the model has no such gradient.
    DataError
        When the columns of a table do not fit the model.
    ValueError
        When X does not fit the network.

    Warns
    -----
    DataWarning
        When gradients are not finite.

    Notes
    -----
    The gradients of dense rows take about twice the time of a prediction. They are computed by
    compiled kernels on the model's ``device``, as predictions are: the CPU takes over sparse rows,
    and those of a model for which no GPU can be used. On the CPU they are bitwise the same for any
    number of threads. Of sparse rows most of the time goes into writing the gradients, which are
    dense; with ``times_input`` they are computed where X has entries, and take about as long as a
    prediction. At a kink of an activation the derivative is that of training.

    The inputs of a network for a table are made of the columns by a fitted preprocessor, which the
    chain rule takes into account. Its numbers are piecewise smooth: between two pieces the slope is
    the mean of those on both sides, and in a column of two values that of the line through both. A
    missing value has the gradient not-a-number. What the target was on average for single values of
    a column is held constant. The prediction of a pack is a mean over networks, and so is its
    gradient. Scores of tables are those of classifiers of a single network.

    Examples
    --------
    >>> from fastmlp import MLPRegressor, input_gradients
    >>> X = [[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]]
    >>> model = MLPRegressor(hidden_layer_sizes=(), solver="lbfgs", alpha=0)
    >>> model = model.fit(X, [3.0, 2.0, 10.0])  # 2 x_1 + 3 x_2
    >>> input_gradients(model, X).round(2).tolist()
    [[2.0, 3.0], [2.0, 3.0], [2.0, 3.0]]
    """
    if isinstance(model, BaseMLP):
        return network_gradients(model, X, class_, output=output, of=of, times_input=times_input)
    from .column_gradients import column_gradients

    return column_gradients(model, X, class_, output, of, times_input)
