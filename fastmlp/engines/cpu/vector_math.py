"""exp, log, tanh and erf that LLVM can turn into vector code, to about one unit in the last place.

The C library's functions take one number at a time, and would need most of the time of a small
network. The functions here reduce their argument and evaluate a polynomial, which interpolates at
Chebyshev nodes. Results of exp below the smallest normal number are zero. Those above 2^127.5, or
2^1023.5 for float64, are infinite.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

_LN2 = 0.6931471805599453
# n ln(2) is subtracted in two parts. The first has so few bits that its product with n is exact.
_LN2_HIGH = 0.693359375
_LN2_LOW = -2.1219444005469058277e-4

_f4, _f8 = np.float32, np.float64
ONE_4, LOG2E_4 = _f4(1), _f4(1 / _LN2)
LN2_HIGH_4, LN2_LOW_4 = _f4(_LN2_HIGH), _f4(_LN2_LOW)
# A number to which this is added is rounded to an integer, which is then in the lowest bits.
ROUNDER_4, ROUNDER_8 = _f4(1.5 * 2**23), 1.5 * 2.0**52
BIAS_4, BIAS_8 = np.int32(127), np.int64(1023)
SMALLEST_4, LARGEST_4 = _f4(-126 * _LN2), _f4(127.5 * _LN2)
SMALLEST_8, LARGEST_8 = -1022 * _LN2, 1023.5 * _LN2
ZERO_4, INFINITY_4 = _f4(0), _f4(np.inf)
# The coefficients of (exp(r) - 1 - r) / r^2 as a polynomial of r, for |r| <= ln(2) / 2.
E0, E1, E2, E3, E4 = (
    _f4(c)
    for c in (0.5, 0.16666576989698776, 0.041666554617204574, 0.008363179052722577,
              0.0013926183587713495)
)  # fmt: skip
# The coefficients of (tanh(x) - x) / x^3 as a polynomial of x^2, for |x| <= 0.625.
T0, T1, T2, T3, T4 = (
    _f4(c)
    for c in (-0.33333328944134255, 0.13332769736976328, -0.05385090957851358,
              0.02099717899907475, -0.0060967141659081976)
)  # fmt: skip
SMALL_4, TWO_4 = _f4(0.625), _f4(2)
# The coefficients in log((1 + s) / (1 - s)) = 2 s + s u (L0 + L1 u + ...), where u = s^2 is at
# most 0.0295.
L0, L1, L2 = _f4(0.6666668508272797), _f4(0.3998876291059419), _f4(0.2958075040128507)
HALF_4, NOT_A_NUMBER_4 = _f4(0.5), _f4(np.nan)
TINY_4, RAISE_4, RAISED_4 = np.finfo(_f4).tiny, _f4(2.0**25), _f4(25)
TINY_8 = float(np.finfo(_f8).tiny)
ONE_BITS_4, ONE_BITS_8 = _f4(1).view(np.int32), _f8(1).view(np.int64)
# The sum of one of these and of the bits of x has the exponent of x / sqrt(1/2) where a float has
# its exponent.
TO_EXPONENT_4 = np.int32(ONE_BITS_4 - _f4(np.sqrt(0.5)).view(np.int32))
TO_EXPONENT_8 = np.int64(ONE_BITS_8 - _f8(np.sqrt(0.5)).view(np.int64))
# The sum of one of these and of a biased exponent is the bits of the rounder plus the exponent.
TO_NUMBER_4 = np.int32(ROUNDER_4.view(np.int32) - BIAS_4)
TO_NUMBER_8 = np.int64(_f8(ROUNDER_8).view(np.int64) - BIAS_8)


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
FOUR_4 = _f4(4)


@intrinsic
def _from_bits(typing_context, bits):
    """Return the float32 or float64 that has the bits of an int32 or int64."""
    target = types.float32 if bits == types.int32 else types.float64

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(target))

    return target(bits), codegen


@intrinsic
def _bits(typing_context, x):
    """Return the bits of a float32 or float64, as an int32 or int64."""
    target = types.int32 if x == types.float32 else types.int64

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(target.bitwidth))

    return target(x), codegen


def _without_widening(instruction):
    """Make an integer operation whose result has the type of its first operand.

    Parameters
    ----------
    instruction : str
        The name of a method of llvmlite's ``IRBuilder``, such as ``'add'``.

    Returns
    -------
    numba intrinsic
        ``(x, y)``, for integers.
    """

    @intrinsic
    def operation(typing_context, x, y):
        def codegen(context, builder, signature, args):
            second = context.cast(builder, args[1], y, x)
            return getattr(builder, instruction)(args[0], second)

        return x(x, y), codegen

    return operation


_add, _subtract = _without_widening("add"), _without_widening("sub")
# Shifts to the right fill up with zeros, so that their first operand must not be negative.
_shift_left, _shift_right = _without_widening("shl"), _without_widening("lshr")


# Functions whose names end in 4 take a float32 of 4 bytes, and those in 8 a float64 of 8 bytes.


@register_jitable
def _exp_4(x):
    t = x * LOG2E_4 + ROUNDER_4
    n = t - ROUNDER_4
    r = x - n * LN2_HIGH_4 - n * LN2_LOW_4
    p = (((E4 * r + E3) * r + E2) * r + E1) * r + E0
    p = p * (r * r) + r + ONE_4
    y = p * _from_bits(_shift_left(_add(_bits(t), BIAS_4), 23))
    y = ZERO_4 if x < SMALLEST_4 else y
    return INFINITY_4 if x > LARGEST_4 else y


@register_jitable
def _exp_8(x):
    t = x * (1 / _LN2) + ROUNDER_8
    n = t - ROUNDER_8
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = 2.5100385495510319e-8 * r + 2.7620088445409748e-7
    p = p * r + 2.7557268459997065e-6
    p = p * r + 2.4801521295954375e-5
    p = p * r + 1.9841269863053617e-4
    p = p * r + 1.3888888917213717e-3
    p = p * r + 8.3333333333300618e-3
    p = p * r + 4.1666666666624128e-2
    p = p * r + 0.16666666666666667
    p = p * r + 0.5000000000000001
    p = p * (r * r) + r + 1.0
    y = p * _from_bits(_shift_left(_add(_bits(t), BIAS_8), 52))
    y = 0.0 if x < SMALLEST_8 else y
    return math.inf if x > LARGEST_8 else y


@register_jitable
def _log_4(x):
    is_tiny = x < TINY_4
    bits = _bits(x * RAISE_4 if is_tiny else x)
    exponent = _shift_right(_add(bits, TO_EXPONENT_4), 23)
    f = _from_bits(_subtract(_add(bits, ONE_BITS_4), _shift_left(exponent, 23))) - ONE_4
    n = _from_bits(_add(exponent, TO_NUMBER_4)) - ROUNDER_4
    n = n - RAISED_4 if is_tiny else n
    h = HALF_4 * f * f
    s = f / (TWO_4 + f)
    u = s * s
    r = ((L2 * u + L1) * u + L0) * u
    y = n * LN2_HIGH_4 - ((h - (s * (h + r) + n * LN2_LOW_4)) - f)
    y = y if x < INFINITY_4 else x
    below = -INFINITY_4 if x == ZERO_4 else NOT_A_NUMBER_4
    return below if x <= ZERO_4 else y


@register_jitable
def _log_8(x):
    is_tiny = x < TINY_8
    bits = _bits(x * 2.0**54 if is_tiny else x)
    exponent = _shift_right(_add(bits, TO_EXPONENT_8), 52)
    f = _from_bits(_subtract(_add(bits, ONE_BITS_8), _shift_left(exponent, 52))) - 1.0
    n = _from_bits(_add(exponent, TO_NUMBER_8)) - ROUNDER_8
    n = n - 54.0 if is_tiny else n
    h = 0.5 * f * f
    s = f / (2.0 + f)
    u = s * s
    r = 0.1461749869387011 * u + 0.15331636699545695
    r = r * u + 0.18182891680439733
    r = r * u + 0.22222211099711295
    r = r * u + 0.28571428626190487
    r = r * u + 0.39999999999899033
    r = (r * u + 0.666666666666667) * u
    y = n * _LN2_HIGH - ((h - (s * (h + r) + n * _LN2_LOW)) - f)
    y = y if x < math.inf else x
    below = -math.inf if x == 0.0 else math.nan
    return below if x <= 0.0 else y


@register_jitable
def _tanh_4(x):
    u = x * x
    p = (((T4 * u + T3) * u + T2) * u + T1) * u + T0
    small = p * u * x + x
    e = _exp_4(TWO_4 * abs(x))
    large = math.copysign(ONE_4 - TWO_4 / (e + ONE_4), x)
    return small if abs(x) < SMALL_4 else large


@register_jitable
def _tanh_8(x):
    u = x * x
    p = -1.7244874494844330e-5 * u + 7.9599557352648080e-5
    p = p * u - 2.3077616269519858e-4
    p = p * u + 5.8743728600943819e-4
    p = p * u - 1.4553092975346420e-3
    p = p * u + 3.5920589774734553e-3
    p = p * u - 8.8632298309257087e-3
    p = p * u + 2.1869488260559115e-2
    p = p * u - 5.3968253961395571e-2
    p = p * u + 0.13333333333326658
    p = p * u - 0.33333333333333323
    small = p * u * x + x
    e = _exp_8(2.0 * abs(x))
    large = math.copysign(1.0 - 2.0 / (e + 1.0), x)
    return small if abs(x) < 0.625 else large


@register_jitable
def _erf_4(x):
    u = x * x
    p = ((((R5 * u + R4) * u + R3) * u + R2) * u + R1) * u + R0
    small = p * x + x
    y = abs(x)
    y = FOUR_4 if y > FOUR_4 else y
    t = (y - TWO_4) / (y + TWO_4)
    q = (((((S6 * t + S5) * t + S4) * t + S3) * t + S2) * t + S1) * t + S0
    large = math.copysign(ONE_4 - q * _exp_4(-y * y), x)
    return small if abs(x) < ONE_4 else large


@register_jitable
def _erf_8(x):
    u = x * x
    p = -7.795898827002142e-10 * u + 1.3720064546777686e-08
    p = p * u - 1.6208483801871705e-07
    p = p * u + 1.6447424703317362e-06
    p = p * u - 1.492473690741966e-05
    p = p * u + 0.00012055294904839707
    p = p * u - 0.0008548325975389692
    p = p * u + 0.0052239776071164225
    p = p * u - 0.02686617064323777
    p = p * u + 0.11283791670945006
    p = p * u - 0.37612638903183543
    p = p * u + 0.12837916709551256
    small = p * x + x
    y = abs(x)
    y = 6.0 if y > 6.0 else y
    t = (y - 2.0) / (y + 2.0)
    q = -2.22812957637235e-07 * t + 4.146302183268488e-06
    q = q * t + 1.859427387429402e-06
    q = q * t - 1.4166339069117108e-05
    q = q * t - 2.7640727821912852e-05
    q = q * t + 2.7560352756678313e-05
    q = q * t + 0.00017436477257256738
    q = q * t + 4.355265359817883e-05
    q = q * t - 0.0009819771114740715
    q = q * t - 0.0008471431229415333
    q = q * t + 0.006997461739200475
    q = q * t + 0.0037328924016564484
    q = q * t - 0.07897858101571269
    q = q * t + 0.24165819424248763
    q = q * t - 0.4271858474139585
    q = q * t + 0.2553956763105057
    large = math.copysign(1.0 - q * _exp_8(-y * y), x)
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
    if x == types.float32:
        return lambda x: _exp_4(x)
    return lambda x: _exp_8(x)


@overload(log)
def _overload_log(x):
    if x == types.float32:
        return lambda x: _log_4(x)
    return lambda x: _log_8(x)


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
