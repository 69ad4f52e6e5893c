"""exp, log, tanh and erf that LLVM can turn into vector code, to about one unit in the last place.

The C library's functions take one number at a time, and would need most of the time of a small
network, and round otherwise on other systems. The functions here reduce their argument and evaluate
a polynomial, which interpolates at Chebyshev nodes. Results of exp below the smallest normal number
are zero. Those above 2^127.5, or 2^1023.5 for float64, are infinite.

Each product that is added to something is written as :func:`multiply_add`: what the compiler may
round once or twice, it rounds here and there, and so results would depend on it.
"""

import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

from .vector_unit import HOST

_LN2 = 0.6931471805599453
# n ln(2) is subtracted in two parts. The first has so few bits that its product with n is exact.
_LN2_HIGH = 0.693359375
_LN2_LOW = -2.1219444005469058277e-4

_f4, _f8 = np.float32, np.float64
ONE_4, TWO_4, FOUR_4, SMALL_4 = _f4(1), _f4(2), _f4(4), _f4(0.625)


class _ExpConstants(NamedTuple):
    """What the exponential needs in one type; bits are those of a float of that type."""

    rounder: float
    """A number to which another is added is rounded to an integer, which is then in the lowest
    bits."""
    factor: float
    ln2_low: float
    bias: int
    """What an exponent of two is larger by in the bits."""
    shift: int
    """The number of bits of the mantissa."""
    smallest: float
    largest: float
    coefficients: tuple[float, ...]
    """Those of (exp(r) - 1 - r) / r^2 as a polynomial of r, for abs(r) <= ln(2) / 2."""


class _LogConstants(NamedTuple):
    """What the logarithm needs in one type; bits are those of a float of that type."""

    rounder: float
    ln2_low: float
    shift: int
    tiny: float
    """The smallest normal number. Those below are raised by a power of two."""
    raised: int
    """That power."""
    one_bits: int
    """The bits of the number one."""
    to_exponent: int
    """Added to the bits of x, it makes those where a float has its exponent the exponent of
    x / sqrt(1/2)."""
    to_number: int
    """Added to a biased exponent, it makes the bits of the rounder plus the exponent."""
    coefficients: tuple[float, ...]
    """Those of c in log((1 + s) / (1 - s)) = 2 s + s u c(u), where u = s^2 is at most 0.0295."""


def _exp_constants(real, shift, largest, coefficients):
    """Compute the constants of the exponential in one type."""
    bias = int(np.finfo(real).maxexp) - 1
    rounder = 1.5 * 2.0**shift
    return _ExpConstants(
        rounder, float(real(1 / _LN2)), float(real(_LN2_LOW)), bias, shift,
        float(real((1 - bias) * _LN2)), float(real(largest * _LN2)), coefficients,
    )  # fmt: skip


def _log_constants(real, integer, shift, raised, coefficients):
    """Compute the constants of the logarithm in one type."""

    def bits(x):
        return int(real(x).view(integer))

    bias, rounder = int(np.finfo(real).maxexp) - 1, 1.5 * 2.0**shift
    return _LogConstants(
        rounder, float(real(_LN2_LOW)), shift, float(np.finfo(real).tiny), raised, bits(1),
        bits(1) - bits(np.sqrt(0.5)), bits(rounder) - bias, coefficients,
    )  # fmt: skip


EXP_4 = _exp_constants(
    _f4, 23, 127.5,
    (0.5, 0.16666576986698776, 0.041666554617204574, 0.008363179052722577, 0.0013926183587713495),
)  # fmt: skip
EXP_8 = _exp_constants(
    _f8, 52, 1023.5,
    (0.5000000000000001, 0.16666666666666667, 4.1666666666624128e-2, 8.3333333333300618e-3,
     1.3888888917213717e-3, 1.9841269863053617e-4, 2.4801521295954375e-5, 2.7557268459997065e-6,
     2.7620088445409748e-7, 2.5100385495510319e-8),
)  # fmt: skip
LOG_4 = _log_constants(
    _f4, np.int32, 23, 25, (0.6666668508272797, 0.3998876291059419, 0.2958075040128507)
)
LOG_8 = _log_constants(
    _f8, np.int64, 52, 54,
    (0.666666666666667, 0.39999999999899033, 0.28571428626190487, 0.22222211099711295,
     0.18182891680439733, 0.15331636699545695, 0.1461749869387011),
)  # fmt: skip
# The coefficients of (tanh(x) - x) / x^3 as a polynomial of x^2, for |x| <= 0.625.
T0, T1, T2, T3, T4 = (
    _f4(c)
    for c in (-0.33333328944134255, 0.13332769736976328, -0.05385090957851358,
              0.02099717899907475, -0.0060967141659081976)
)  # fmt: skip
# The coefficients of erf(x) / x - 1 as a polynomial of x^2, for |x| <= 1.
R0, R1, R2, R3, R4, R5 = (
    _f4(c)
    for c in (0.12837912617873729, -0.37612343775327806, 0.11280316652505075,
              -0.02671505423226643, 0.004921762027877231, -0.0005648059865503044)
)  # fmt: skip
# The coefficients of exp(x^2) (1 - erf(x)) as a polynomial of (x - 2) / (x + 2), for 1 <= x <= 4.
S0, S1, S2, S3, S4, S5, S6 = (
    _f4(c)
    for c in (0.25539567631050575, -0.4271859897684867, 0.2416582015255602,
              -0.07896830612793473, 0.0037323717589395444, 0.006811140131085635,
              -0.0008379754387023134)
)  # fmt: skip


@intrinsic
def multiply_add(typing_context, x, y, z):
    """Compute x y + z, which is rounded once where the machine has an instruction for that.

    Parameters
    ----------
    x, y, z : numbers
        At least one of them is a float; the result has the widest type of the three.

    Returns
    -------
    float
    """
    result = typing_context.unify_types(x, y, z)

    def codegen(context, builder, signature, args):
        a, b, c = (
            context.cast(builder, v, t, result) for v, t in zip(args, (x, y, z), strict=True)
        )
        if HOST.has_fma:
            return builder.fma(a, b, c)
        return builder.fadd(builder.fmul(a, b), c)

    return result(x, y, z), codegen


class _Writer:
    """A writer of operations on numbers, or on vectors of them, of one type.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    real : LLVM type
        float or double, or a vector of these.
    """

    def __init__(self, builder, real):
        self.builder, self.real = builder, real
        is_vector = isinstance(real, ir.VectorType)
        element = real.element if is_vector else real
        self.is_single = isinstance(element, ir.FloatType)
        bits = ir.IntType(32 if self.is_single else 64)
        self.integer = ir.VectorType(bits, real.count) if is_vector else bits
        name = "f32" if self.is_single else "f64"
        self._suffix = f"v{real.count}{name}" if is_vector else name

    def number(self, value):
        """Return a constant, the same one in each lane."""
        return self._constant(self.real, float(value))

    def whole(self, value):
        """Return an integer constant, the same one in each lane."""
        return self._constant(self.integer, int(value))

    @staticmethod
    def _constant(kind, value):
        if isinstance(kind, ir.VectorType):
            return ir.Constant(kind, [ir.Constant(kind.element, value)] * kind.count)
        return ir.Constant(kind, value)

    def multiply_add(self, x, y, z):
        """Write x y + z, which is rounded once where the machine has an instruction for that."""
        if not HOST.has_fma:
            return self.builder.fadd(self.builder.fmul(x, y), z)
        name, module = f"llvm.fma.{self._suffix}", self.builder.module
        fma = module.globals.get(name)
        if fma is None:
            fma = ir.Function(module, ir.FunctionType(self.real, [self.real] * 3), name)
        return self.builder.call(fma, [x, y, z])

    def polynomial(self, x, coefficients):
        """Write a polynomial of x; the coefficient of the highest power comes last."""
        *others, result = map(self.number, coefficients)
        for coefficient in reversed(others):
            result = self.multiply_add(result, x, coefficient)
        return result

    def bits(self, x):
        """Write what takes the bits of floats for integers."""
        return self.builder.bitcast(x, self.integer)

    def from_bits(self, x):
        """Write what takes integers for the bits of floats."""
        return self.builder.bitcast(x, self.real)

    def is_below(self, x, limit):
        """Write whether x is smaller than a constant."""
        return self.builder.fcmp_ordered("<", x, self.number(limit))


def write_exp(builder, x):
    """Write e^x.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    x : llvmlite value
        A float or a double, or a vector of these.

    Returns
    -------
    llvmlite value
    """
    w = _Writer(builder, x.type)
    constants = EXP_4 if w.is_single else EXP_8
    rounder = w.number(constants.rounder)
    t = w.multiply_add(x, w.number(constants.factor), rounder)
    minus_n = builder.fsub(rounder, t)
    r = w.multiply_add(minus_n, w.number(_LN2_HIGH), x)
    r = w.multiply_add(minus_n, w.number(constants.ln2_low), r)
    p = w.polynomial(r, constants.coefficients)
    p = builder.fadd(w.multiply_add(p, builder.fmul(r, r), r), w.number(1))
    exponent = builder.add(w.bits(t), w.whole(constants.bias))
    scale = w.from_bits(builder.shl(exponent, w.whole(constants.shift)))
    y = builder.fmul(p, scale)
    y = builder.select(w.is_below(x, constants.smallest), w.number(0), y)
    is_large = builder.fcmp_ordered(">", x, w.number(constants.largest))
    return builder.select(is_large, w.number(math.inf), y)


def write_log(builder, x):
    """Write the natural logarithm of x.

    Parameters
    ----------
    builder : llvmlite.ir.IRBuilder
    x : llvmlite value
        A float or a double, or a vector of these.

    Returns
    -------
    llvmlite value
    """
    w = _Writer(builder, x.type)
    constants = LOG_4 if w.is_single else LOG_8
    shift = w.whole(constants.shift)
    is_tiny = w.is_below(x, constants.tiny)
    raised = builder.fmul(x, w.number(2.0**constants.raised))
    bits = w.bits(builder.select(is_tiny, raised, x))
    exponent = builder.lshr(builder.add(bits, w.whole(constants.to_exponent)), shift)
    mantissa = builder.add(bits, w.whole(constants.one_bits))
    f = builder.fsub(w.from_bits(builder.sub(mantissa, builder.shl(exponent, shift))), w.number(1))
    n = w.from_bits(builder.add(exponent, w.whole(constants.to_number)))
    n = builder.fsub(n, w.number(constants.rounder))
    n = builder.select(is_tiny, builder.fsub(n, w.number(constants.raised)), n)
    h = builder.fmul(builder.fmul(w.number(0.5), f), f)
    s = builder.fdiv(f, builder.fadd(w.number(2), f))
    u = builder.fmul(s, s)
    r = builder.fmul(w.polynomial(u, constants.coefficients), u)
    low = builder.fmul(n, w.number(constants.ln2_low))
    y = builder.fsub(h, w.multiply_add(s, builder.fadd(h, r), low))
    y = w.multiply_add(n, w.number(_LN2_HIGH), builder.fsub(f, y))
    y = builder.select(w.is_below(x, math.inf), y, x)
    is_zero = builder.fcmp_ordered("==", x, w.number(0))
    below = builder.select(is_zero, w.number(-math.inf), w.number(math.nan))
    return builder.select(builder.fcmp_ordered("<=", x, w.number(0)), below, y)


def _of_one_number(write):
    """Make the function that applies what is written to one number.

    Parameters
    ----------
    write : callable
        ``write(builder, x)``, such as :func:`write_exp`.

    Returns
    -------
    numba intrinsic
        ``(x)``, for a float32 or a float64.
    """

    @intrinsic
    def function(typing_context, x):
        result = types.float32 if x == types.float32 else types.float64

        def codegen(context, builder, signature, args):
            return write(builder, context.cast(builder, args[0], x, result))

        return result(x), codegen

    return function


_exp, _log = _of_one_number(write_exp), _of_one_number(write_log)


# Functions whose names end in 4 take a float32 of 4 bytes, and those in 8 a float64 of 8 bytes.


@register_jitable
def power(x, n):
    """Compute x^n for a float64 x and a whole number n, which is not negative, by squaring.

    The C library's power is another function on each system. The relative error of this one is at
    most n times that of one product.
    """
    result, rest = 1.0, np.int64(n)
    while rest > 0:
        if rest & 1:
            result *= x
        x *= x
        rest >>= 1
    return result


@register_jitable
def _tanh_4(x):
    u = x * x
    p = multiply_add(T4, u, T3)
    p = multiply_add(p, u, T2)
    p = multiply_add(p, u, T1)
    p = multiply_add(p, u, T0)
    small = multiply_add(p * u, x, x)
    e = _exp(TWO_4 * abs(x))
    large = math.copysign(ONE_4 - TWO_4 / (e + ONE_4), x)
    return small if abs(x) < SMALL_4 else large


@register_jitable
def _tanh_8(x):
    u = x * x
    p = multiply_add(-1.724487449484433e-05, u, 7.959955735264808e-05)
    p = multiply_add(p, u, -0.00023077616269519857)
    p = multiply_add(p, u, 0.0005874372860094381)
    p = multiply_add(p, u, -0.001455309297534642)
    p = multiply_add(p, u, 0.0035920589774734554)
    p = multiply_add(p, u, -0.008863229830925709)
    p = multiply_add(p, u, 0.021869488260559115)
    p = multiply_add(p, u, -0.05396825396139557)
    p = multiply_add(p, u, 0.13333333333326658)
    p = multiply_add(p, u, -0.3333333333333332)
    small = multiply_add(p * u, x, x)
    e = _exp(2.0 * abs(x))
    large = math.copysign(1.0 - 2.0 / (e + 1.0), x)
    return small if abs(x) < 0.625 else large


@register_jitable
def _erf_4(x):
    u = x * x
    p = multiply_add(R5, u, R4)
    p = multiply_add(p, u, R3)
    p = multiply_add(p, u, R2)
    p = multiply_add(p, u, R1)
    p = multiply_add(p, u, R0)
    small = multiply_add(p, x, x)
    y = abs(x)
    y = FOUR_4 if y > FOUR_4 else y
    t = (y - TWO_4) / (y + TWO_4)
    q = multiply_add(S6, t, S5)
    q = multiply_add(q, t, S4)
    q = multiply_add(q, t, S3)
    q = multiply_add(q, t, S2)
    q = multiply_add(q, t, S1)
    q = multiply_add(q, t, S0)
    large = math.copysign(multiply_add(-q, _exp(-y * y), ONE_4), x)
    return small if abs(x) < ONE_4 else large


@register_jitable
def _erf_8(x):
    u = x * x
    p = multiply_add(-7.795898827002142e-10, u, 1.3720064546777686e-08)
    p = multiply_add(p, u, -1.6208483801871705e-07)
    p = multiply_add(p, u, 1.6447424703317362e-06)
    p = multiply_add(p, u, -1.492473690741966e-05)
    p = multiply_add(p, u, 0.00012055294904839707)
    p = multiply_add(p, u, -0.0008548325975389692)
    p = multiply_add(p, u, 0.0052239776071164225)
    p = multiply_add(p, u, -0.02686617064323777)
    p = multiply_add(p, u, 0.11283791670945006)
    p = multiply_add(p, u, -0.37612638903183543)
    p = multiply_add(p, u, 0.12837916709551256)
    small = multiply_add(p, x, x)
    y = abs(x)
    y = 6.0 if y > 6.0 else y
    t = (y - 2.0) / (y + 2.0)
    q = multiply_add(-2.22812957637235e-07, t, 4.146302183268488e-06)
    q = multiply_add(q, t, 1.859427387429402e-06)
    q = multiply_add(q, t, -1.4166339069117108e-05)
    q = multiply_add(q, t, -2.7640727821912852e-05)
    q = multiply_add(q, t, 2.7560352756678313e-05)
    q = multiply_add(q, t, 0.00017436477257256738)
    q = multiply_add(q, t, 4.355265359817883e-05)
    q = multiply_add(q, t, -0.0009819771114740715)
    q = multiply_add(q, t, -0.0008471431229415333)
    q = multiply_add(q, t, 0.006997461739200475)
    q = multiply_add(q, t, 0.0037328924016564484)
    q = multiply_add(q, t, -0.07897858101571269)
    q = multiply_add(q, t, 0.24165819424248763)
    q = multiply_add(q, t, -0.4271858474139585)
    q = multiply_add(q, t, 0.2553956763105057)
    large = math.copysign(multiply_add(-q, _exp(-y * y), 1.0), x)
    return small if abs(x) < 1.0 else large


def exp(x):
    """Compute e^x of a float32 or float64; only compiled code can call this."""
    raise NotImplementedError("only compiled code calls this")


def log(x):
    """Compute the natural logarithm of a float32 or float64; only compiled code can call this."""
    raise NotImplementedError("only compiled code calls this")


def tanh(x):
    """Compute the hyperbolic tangent of a float32 or float64; only compiled code can call this."""
    raise NotImplementedError("only compiled code calls this")


def erf(x):
    """Compute the error function of a float32 or float64; only compiled code can call this."""
    raise NotImplementedError("only compiled code calls this")


@overload(exp)
def _overload_exp(x):
    return lambda x: _exp(x)


@overload(log)
def _overload_log(x):
    return lambda x: _log(x)


@overload(tanh)
def _overload_tanh(x):
    if x == types.float32:
        return lambda x: _tanh_4(x)
    return lambda x: _tanh_8(x)


@overload(erf)
def _overload_erf(x):
    if x == types.float32:
        return lambda x: _erf_4(x)
    return lambda x: _erf_8(x)
