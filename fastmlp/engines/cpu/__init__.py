"""The engine of the CPU: its compiled kernels, and the layout of their memory."""

# Before any other module imports numba: it says what is wrong with the installation.
from .. import _numba as _numba
