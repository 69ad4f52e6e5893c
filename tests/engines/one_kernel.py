"""A script for processes that need one kernel, which is quickly compiled."""

# A kernel that compiles quickly and inlines formulas of another file, called as numba calls it:
# after the places of result and exception, a vector is seven numbers, of which data is the fifth.
CALL = """
import ctypes, os, sys
import numpy as np
from fastmlp.engines.cpu import library

dtype = np.dtype(os.environ.get("DTYPE", "float64"))
name = os.environ.get("KERNEL", "activate.relu")
address = library.address(name, dtype)
z, nothing = np.array([-1.0, 3.0], dtype), np.zeros(2)
kernel = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_void_p] * 2, *[ctypes.c_int64] * 9)(address)
place = nothing.ctypes.data
kernel(place, place, 0, 0, z.size, z.itemsize, z.ctypes.data, z.size, z.itemsize, 0, z.size)
origins = library.origins()
print(*z, origins["the cache"], origins["compiled in this process"], sep=",")
assert ("numba" in sys.modules) == (origins["compiled in this process"] > 0)
"""
