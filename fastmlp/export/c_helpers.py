"""The functions of C that exported models are made of, whatever their numbers are.

A file gets those that it calls, in this order, since compilers warn of functions that nothing
calls. All of them compute as the networks and the preprocessor of this package do, in the same
order, so that results differ by the last bits of exp and the like alone.
"""

from ..network.formulas.activations import LEAKY_SLOPE, SELU_SCALE, SELU_SCALE_ALPHA, SQRT_HALF
from ..tabular.encoders.scaling import (
    LARGEST_DISTANCE,
    SQUASH_BOUND,
    SQUASH_LIMIT,
    UNSQUASHED_LIMIT,
)
from ..tabular.pack.tails import LARGEST_EXPONENT

# The type in which networks compute. The product of two floats is exact as a double, so that the
# sum of a step is rounded once, as by the instruction of the processor.
OF_FLOAT = """\
typedef float real;
#define EXP expf
#define LOG logf
#define TANH tanhf
#define ERF erff
#define FABS fabsf
#ifdef FP_FAST_FMAF
#define MULTIPLY_ADD(x, y, sum) fmaf(x, y, sum)
#else
#define MULTIPLY_ADD(x, y, sum) ((float)((double)(x) * (y) + (sum)))
#endif
"""
OF_DOUBLE = """\
typedef double real;
#define EXP exp
#define LOG log
#define TANH tanh
#define ERF erf
#define FABS fabs
#define MULTIPLY_ADD(x, y, sum) ((x) * (y) + (sum))
"""


def _for_each(name: str, value: str) -> str:
    """Return a function that changes each of some numbers; `value` is an expression of x[j]."""
    return f"""\
static void {name}(real *x, int n)
{{
    for (int j = 0; j < n; j++)
        x[j] = {value};
}}
"""


HELPERS = {
    "clip": """\
static double clip(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}
""",
    "logistic": """\
static real logistic(real z)
{
    const real e = EXP(-FABS(z)), positive = 1 / (1 + e);
    return z >= 0 ? positive : e * positive;
}
""",
    "activate_logistic": _for_each("activate_logistic", "logistic(x[j])"),
    "activate_tanh": _for_each("activate_tanh", "TANH(x[j])"),
    "activate_relu": _for_each("activate_relu", "x[j] < 0 ? 0 : x[j]"),
    "activate_leaky_relu": _for_each(
        "activate_leaky_relu", f"x[j] < 0 ? (real){LEAKY_SLOPE} * x[j] : x[j]"
    ),
    "activate_elu": _for_each("activate_elu", "x[j] < 0 ? EXP(x[j]) - 1 : x[j]"),
    "activate_selu": _for_each(
        "activate_selu",
        f"x[j] < 0 ? (real){SELU_SCALE_ALPHA} * (EXP(x[j]) - 1) : (real){SELU_SCALE} * x[j]",
    ),
    "activate_gelu": _for_each("activate_gelu", f"x[j] * (1 + ERF((real){SQRT_HALF} * x[j])) / 2"),
    "activate_silu": _for_each("activate_silu", "x[j] * logistic(x[j])"),
    "activate_softplus": _for_each(
        "activate_softplus", "(x[j] > 0 ? x[j] : 0) + LOG(1 + EXP(-FABS(x[j])))"
    ),
    "activate_step": _for_each("activate_step", "x[j] > 0 ? 1 : x[j] <= 0 ? 0 : x[j]"),
    "activate_exp": _for_each("activate_exp", "EXP(x[j])"),
    "activate_softmax": """\
static void activate_softmax(real *x, int n)
{
    real largest = x[0], sum = 0;

    for (int j = 1; j < n; j++)
        if (x[j] > largest)
            largest = x[j];
    for (int j = 0; j < n; j++) {
        x[j] = EXP(x[j] - largest);
        sum += x[j];
    }
    for (int j = 0; j < n; j++)
        x[j] /= sum;
}
""",
    "Layer": """\
typedef struct {
    int n_inputs, n_outputs;
    const real *weights; /* n_outputs for the first input, then for the next one, and so on */
    const real *biases;
    void (*activate)(real *x, int n); /* NULL for the identity */
} Layer;
""",
    "apply_layer": """\
static void apply_layer(const Layer *layer, const real *x, real *restrict z)
{
    const int n = layer->n_outputs;
    const real *weights = layer->weights;

    for (int j = 0; j < n; j++)
        z[j] = layer->biases[j];
    for (int i = 0; i < layer->n_inputs; i++, weights += n)
        if (x[i] != 0)
            for (int j = 0; j < n; j++)
                z[j] = MULTIPLY_ADD(x[i], weights[j], z[j]);
    if (layer->activate != NULL)
        layer->activate(z, n);
}
""",
    "apply_layers": """\
/* Return where the outputs are: in one of the two halves of the room. */
static const real *apply_layers(const Layer *layers, int n_layers, const real *x, real *room)
{
    for (int i = 0; i < n_layers; i++) {
        real *z = room + (i % 2 ? WIDEST_LAYER : 0);
        apply_layer(&layers[i], x, z);
        x = z;
    }
    return x;
}
""",
    "Network": """\
typedef struct {
    const Layer *layers;
    int n_layers, first_input;
    double weight;            /* in the mean over all networks */
    const double *log_target; /* shift, mean and scale of the logarithm; NULL without it */
    const double *bounds;     /* the lowest and the highest prediction; NULL for no bounds */
} Network;
""",
    "add_network": f"""\
/* Add what a network predicts, times its weight, to the means. */
static void add_network(const Network *network, const real *inputs, double *means, int n_outputs)
{{
    real room[2 * WIDEST_LAYER];
    const real *outputs =
        apply_layers(network->layers, network->n_layers, inputs + network->first_input, room);

    for (int j = 0; j < n_outputs; j++) {{
        double p = outputs[j];
        if (network->log_target != NULL) {{
            p = p * network->log_target[2] + network->log_target[1];
            p = exp(p > {LARGEST_EXPONENT} ? {LARGEST_EXPONENT} : p) - network->log_target[0];
        }}
        if (network->bounds != NULL)
            p = clip(p, network->bounds[0], network->bounds[1]);
        means[j] += network->weight * p;
    }}
}}
""",
    "squash": f"""\
static double squash(double x)
{{
    const double limited = clip(x, -{SQUASH_LIMIT}, {SQUASH_LIMIT});
    const double part = limited / {SQUASH_BOUND};

    return limited / sqrt(1 + part * part);
}}
""",
    "scaled_number": f"""\
static double scaled_number(double number, double fill, double centre, double factor)
{{
    const double distance = (isnan(number) ? fill : number) - centre;
    return clip(distance, -{LARGEST_DISTANCE}, {LARGEST_DISTANCE}) * factor;
}}
""",
    "Numbers": """\
typedef struct {
    int n_numbers;
    const double *fills, *centres, *factors;
    const int *is_binary;
    int first_input;
    int n_indicators; /* these inputs follow: where numbers are missing */
    const int *indicator_columns;
    const double *indicator_values; /* where the number is there, and where it is missing */
} Numbers;
""",
    "write_numbers": """\
static void write_numbers(const Numbers *about, const double *numbers, double *scaled, real *inputs)
{
    real *x = inputs + about->first_input;

    for (int j = 0; j < about->n_numbers; j++) {
        const double z =
            scaled_number(numbers[j], about->fills[j], about->centres[j], about->factors[j]);
        scaled[j] = about->is_binary[j] ? clip(z, -1, 1) : squash(z);
        *x++ = (float)scaled[j];
    }
    for (int i = 0; i < about->n_indicators; i++) {
        const int is_missing = isnan(numbers[about->indicator_columns[i]]) != 0;
        *x++ = (float)about->indicator_values[2 * i + is_missing];
    }
}
""",
    "Pieces": """\
typedef struct {
    int n_pieces, first_input;
    const int *columns;
    const double *starts, *widths;
} Pieces;
""",
    "write_pieces": """\
static void write_pieces(const Pieces *pieces, const double *numbers, const double *scaled,
                         real *inputs)
{
    for (int i = 0; i < pieces->n_pieces; i++) {
        const int column = pieces->columns[i];
        const double z = (scaled[column] - pieces->starts[i]) / pieces->widths[i];
        inputs[pieces->first_input + i] = isnan(numbers[column]) ? 0 : (float)clip(z, 0, 1);
    }
}
""",
    "Unlimited": """\
typedef struct {
    int n_numbers, first_input;
    const int *columns;
    const double *fills, *means, *factors;
} Unlimited;
""",
    "write_unlimited": f"""\
static void write_unlimited(const Unlimited *about, const double *numbers, real *inputs)
{{
    for (int i = 0; i < about->n_numbers; i++) {{
        const double number = numbers[about->columns[i]];
        const double z =
            scaled_number(number, about->fills[i], about->means[i], about->factors[i]);
        inputs[about->first_input + i] = (float)clip(z, -{UNSQUASHED_LIMIT}, {UNSQUASHED_LIMIT});
    }}
}}
""",
    "Text": """\
typedef struct {
    int n_names;
    const char *const *names; /* in the order of their bytes */
    const int *levels;        /* of the names */
    int other;                /* the level of all other text */
    int n_inputs, first_input, last_level;
    const float *inputs; /* n_inputs for each level up to the last one, whose are those behind it */
    int n_means, first_mean;
    const float *means; /* n_means for each level */
} Text;
""",
    "blank_at": """\
/* Return the number of bytes of the blank that begins here, in UTF-8; 0 where there is none. */
static size_t blank_at(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;

    if ((s[0] >= 9 && s[0] <= 13) || (s[0] >= 28 && s[0] <= 32))
        return 1;
    if (s[0] == 0xC2)
        return s[1] == 0x85 || s[1] == 0xA0 ? 2 : 0;
    if (s[0] == 0xE1)
        return s[1] == 0x9A && s[2] == 0x80 ? 3 : 0;
    if (s[0] == 0xE2 && s[1] == 0x80)
        return (s[2] >= 0x80 && s[2] <= 0x8A) || s[2] == 0xA8 || s[2] == 0xA9 || s[2] == 0xAF ? 3
                                                                                             : 0;
    if (s[0] == 0xE2 && s[1] == 0x81)
        return s[2] == 0x9F ? 3 : 0;
    return s[0] == 0xE3 && s[1] == 0x80 && s[2] == 0x80 ? 3 : 0;
}
""",
    "find_level": """\
/* Return the level of a text, around which blanks do not matter; NULL is as the empty text. */
static int find_level(const Text *column, const char *text)
{
    size_t length = 0, blank;
    int low = 0, high = column->n_names;

    text = text == NULL ? "" : text;
    while ((blank = blank_at(text)) > 0)
        text += blank;
    for (size_t i = 0; text[i] != '\\0';) {
        blank = blank_at(text + i);
        i += blank > 0 ? blank : 1;
        length = blank > 0 ? length : i;
    }
    while (low < high) {
        const int middle = low + (high - low) / 2;
        const char *name = column->names[middle];
        int order = strncmp(text, name, length);
        if (order == 0 && name[length] == '\\0')
            return column->levels[middle];
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return column->other;
}
""",
    "write_texts": """\
static void write_texts(const Text *columns, int n_columns, const char *const *texts, real *inputs)
{
    for (int i = 0; i < n_columns; i++) {
        const Text *column = &columns[i];
        const int level = find_level(column, texts[i]);
        const int row = level < column->last_level ? level : column->last_level;
        for (int j = 0; j < column->n_inputs; j++)
            inputs[column->first_input + j] = column->inputs[row * column->n_inputs + j];
        for (int j = 0; j < column->n_means; j++)
            inputs[column->first_mean + j] = column->means[level * column->n_means + j];
    }
}
""",
    "Values": """\
typedef struct {
    int column, n_values;
    const float *values; /* in increasing order */
    int n_means, first_mean;
    const float *means; /* n_means for each value, and then for all others */
} Values;
""",
    "write_means": """\
static void write_means(const Values *columns, int n_columns, const double *numbers, real *inputs)
{
    for (int i = 0; i < n_columns; i++) {
        const Values *about = &columns[i];
        const float number = (float)numbers[about->column];
        int low = 0, high = about->n_values;
        while (low < high) {
            const int middle = low + (high - low) / 2;
            if (about->values[middle] < number)
                low = middle + 1;
            else
                high = middle;
        }
        if (isnan(number) || (low < about->n_values && about->values[low] != number))
            low = about->n_values;
        for (int j = 0; j < about->n_means; j++)
            inputs[about->first_mean + j] = about->means[low * about->n_means + j];
    }
}
""",
    "sort_numbers": """\
static void sort_numbers(double *x, int n)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && x[j - 1] > x[j]; j--) {
            const double higher = x[j - 1];
            x[j - 1] = x[j];
            x[j] = higher;
        }
}
""",
    "index_of_largest": """\
static int index_of_largest(const double *x, int n)
{
    int found = 0;

    for (int j = 1; j < n; j++)
        if (x[j] > x[found])
            found = j;
    return found;
}
""",
    "has_infinite": """\
static int has_infinite(const double *x, int n)
{
    for (int j = 0; j < n; j++)
        if (isinf(x[j]))
            return 1;
    return 0;
}
""",
    "are_finite": """\
static int are_finite(const double *x, int n)
{
    for (int j = 0; j < n; j++)
        if (!isfinite(x[j]))
            return 0;
    return 1;
}
""",
}
