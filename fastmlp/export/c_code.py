"""Export of fitted models, with their preprocessing, to one file of C99 that needs no library."""

from os import PathLike
from typing import Any

from .. import __version__
from ..tabular.base import BaseTabular
from ..tabular.several import models_of
from .c_helpers import OF_DOUBLE, OF_FLOAT
from .c_networks import real_of, widest_layer, write_network_model
from .c_source import CSource
from .c_tables import write_table_model
from .files import written_aside
from .naming import columns_by_kind, output_names
from .others import exportable

_FIRST_WORDS = "/* A model of fastmlp"
_ARGUMENTS = "(const double *numbers, const char *const *texts, double *outputs)"
_PROTOTYPE = f"int fastmlp_predict{_ARGUMENTS};"
_KINDS = ("numbers", "texts", "outputs")
_INCLUDES = """\
#include <math.h>
#include <stddef.h>
#include <string.h>
"""


def to_c(model: Any) -> str:
    """Convert a fitted model to a file of C99, which needs the standard library of C alone.

    The file has one function::

        int fastmlp_predict(const double *numbers, const char *const *texts, double *outputs);

    It predicts one row: `numbers` are its numeric columns, or the features of a network, and
    `texts` its text columns, in UTF-8. In tables not-a-number and NULL are missing. `outputs` are
    the probabilities of the classes, or the predicted numbers. The function returns the number of
    the predicted class, counted from 0, or 0 where none is predicted; and -1 where a number is
    infinite, or not-a-number for a network, and where outputs are not finite. The arrays
    ``fastmlp_number_names``, ``fastmlp_text_names`` and ``fastmlp_output_names`` end with NULL,
    and ``fastmlp_n_numbers``, ``fastmlp_n_texts`` and ``fastmlp_n_outputs`` count the same names.
    The comment at the top shows a program that calls the function, and how it is compiled. It can
    be called from several threads at once.

    Networks compute in their own type and order, so that predictions differ from those of the
    model by rounding in exp and the like alone.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        As for :func:`fastmlp.to_onnx`.

    Returns
    -------
    str
        It is ASCII, whatever the names of columns and classes, and the same for the same model.

    Raises
    ------
    InputError
        When the model is of another class, reads dates or free text, has weights that are not
        finite, or has text that C cannot hold.
    sklearn.exceptions.NotFittedError
        When the model has not been fitted.
    """
    steps, last = exportable(model, "to_c")
    columns = columns_by_kind(last, "a file of C")
    names = columns["numeric"], columns["text"], output_names(last)
    trained = (
        [one.estimator_ for one in models_of(last)] if isinstance(last, BaseTabular) else [last]
    )
    source = CSource(real_of(trained))
    for kind, texts in zip(_KINDS, names, strict=True):
        source.strings(f"fastmlp_{kind[:-1]}_names", texts, "the name", is_public=True)
    if isinstance(last, BaseTabular):
        lines = write_table_model(source, last, columns)
    else:
        lines = write_network_model(source, steps, last)
    n_outputs = len(names[2])
    source.function(f"static int predict{_ARGUMENTS}", lines)
    source.function(
        f"int fastmlp_predict{_ARGUMENTS}",
        [
            "const int found = predict(numbers, texts, outputs);",
            f"return found >= 0 && are_finite(outputs, {n_outputs}) ? found : -1;",
        ],
    )
    counts = dict(zip(_KINDS, map(len, names), strict=True))
    return "\n".join(
        [
            _comment(last, counts),
            _INCLUDES,
            *(f"extern const char *const fastmlp_{kind[:-1]}_names[];" for kind in _KINDS),
            *(f"extern const int fastmlp_n_{kind};" for kind in _KINDS),
            f"int fastmlp_predict{_ARGUMENTS};\n",
            *(f"const int fastmlp_n_{kind} = {count};" for kind, count in counts.items()),
            "",
            OF_DOUBLE if source.real == "double" else OF_FLOAT,
            f"enum {{ WIDEST_LAYER = {widest_layer(trained)} }};\n",
            source.text(),
        ]
    )


def export_c(model: Any, path: str | PathLike[str]) -> None:
    """Write a fitted model as one file of C99, which needs the standard library of C alone.

    The file appears whole or not at all. :func:`to_c` describes what is in it.

    Parameters
    ----------
    model : MLPClassifier, MLPRegressor, TabularClassifier, TabularRegressor or Pipeline
        As for :func:`fastmlp.to_onnx`.
    path : str or Path
        The file to write. The usual ending is ``.c``.

    Raises
    ------
    InputError
        When the file cannot be written, or C cannot hold the model: see :func:`to_c`.
    sklearn.exceptions.NotFittedError
        When the model has not been fitted.
    """
    code = to_c(model)
    with written_aside(path) as aside:
        aside.write_bytes(code.encode("ascii"))


def is_c_file(path: str | PathLike[str]) -> bool:
    """Tell whether a file is one that :func:`export_c` has written."""
    with open(path, "rb") as file:
        return file.read(len(_FIRST_WORDS)) == _FIRST_WORDS.encode()


def _comment(model: Any, counts: dict[str, int]) -> str:
    """Return the comment at the top of the file; nothing in it is text of the user."""
    has_classes, is_table = hasattr(model, "classes_"), isinstance(model, BaseTabular)
    numbers, texts, outputs = counts.values()
    declared = [f"double numbers[{numbers}] = {{0}};"] if numbers else []
    declared += [f"const char *texts[{texts}] = {{NULL}};"] if texts else []
    declared.append(f"double outputs[{outputs}];")
    arguments = f"{'numbers' if numbers else 'NULL'}, {'texts' if texts else 'NULL'}, outputs"
    missing = "Not-a-number and NULL are missing values." if is_table else "None may be missing."
    given = "probabilities of the classes" if has_classes else "predicted numbers"
    found = "the number of the predicted class, from 0" if has_classes else "0"
    lines = [
        f"    {_PROTOTYPE}",
        "",
        f"predicts one row. It has {numbers} numbers and {texts} texts in UTF-8, in the order of",
        f"fastmlp_number_names and fastmlp_text_names. {missing}",
        f"It gets {outputs} outputs, the {given} in fastmlp_output_names.",
        f"What is returned is {found};",
        "or -1 where a number is infinite, or too large to predict. Nothing is kept from one",
        "call to the next, so that threads can call it at once.",
        "",
        "Compile it as `cc -std=c99 -O2 -o program program.c model.c -lm`, where program.c is",
        "such as this one:",
        "",
        "    #include <stdio.h>",
        "",
        "    extern const char *const fastmlp_output_names[];",
        f"    {_PROTOTYPE}",
        "",
        "    int main(void)",
        "    {",
        *(f"        {line}" for line in declared),
        "",
        "        if (fastmlp_predict(" + arguments + ") < 0)",
        "            return 1;",
        f"        for (int i = 0; i < {outputs}; i++)",
        '            printf("%s: %g\\n", fastmlp_output_names[i], outputs[i]);',
        "        return 0;",
        "    }",
        "",
        "For two models in one program, rename the names of one of them, as by",
        "-Dfastmlp_predict=price_predict -Dfastmlp_output_names=price_output_names and so on.",
    ]
    kind = type(model).__name__
    head = f"{_FIRST_WORDS} {__version__} in C99, which needs no other library: {kind}."
    return "\n".join([head, " *", *(f" * {line}".rstrip() for line in lines), " */", ""])
