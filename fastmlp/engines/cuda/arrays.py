"""Arrays of other libraries that already lie on the device, used where they are."""

import numpy as np
from numba import cuda

from .blocks import THREADS
from .kernels import array_kernels
from .network import default_n_blocks, one_at_a_time
from .support import is_simulated


class DeviceMatrix:
    """A dense, C-contiguous matrix of floats on the device, in place of X.

    Its rows can be indexed, by numbers with a copy there, and it becomes a NumPy array where one
    is needed.

    Parameters
    ----------
    array : device array
    """

    is_device_matrix = True
    ndim = 2

    def __init__(self, array):
        self._array = array
        self.shape = tuple(array.shape)
        self.dtype = np.dtype(array.dtype)
        self.size = self.shape[0] * self.shape[1]

    def __len__(self):
        return self.shape[0]

    @one_at_a_time
    def __array__(self, dtype=None, copy=None):
        return np.asarray(self._array.copy_to_host(), dtype)

    def __getitem__(self, key):
        if isinstance(key, slice):
            return DeviceMatrix(self._array[key])
        rows = key[0] if isinstance(key, tuple) else key
        return DeviceMatrix(_taken(self._array, np.arange(len(self))[rows], self.dtype))

    def astype(self, dtype):
        """This matrix where it has the type, else a copy on the device."""
        if self.dtype == dtype:
            return self
        return DeviceMatrix(_taken(self._array, np.arange(len(self)), dtype))

    def elements(self):
        """The elements on the device as a vector; no copy."""
        return self._array.reshape(self.size)


@one_at_a_time
def _taken(array, rows, dtype):
    """Some rows of an array, contiguous and of a type, on the device."""
    result = cuda.device_array((rows.size, array.shape[1]), dtype)
    kernel = array_kernels(np.dtype(dtype))["take"]
    kernel[8 * default_n_blocks(), THREADS](array, cuda.to_device(rows), result)
    return result


@one_at_a_time
def to_host(array):
    """A NumPy array with the contents of an array on the device."""
    _check_gpu(array)
    return cuda.as_cuda_array(array).copy_to_host()


@one_at_a_time
def device_matrix(X, may_be_infinite):
    """An array that lies on the device, checked there, as X of a fit or a prediction.

    Parameters
    ----------
    X : object with ``__cuda_array_interface__``, or DeviceMatrix
        The latter was checked when it was made, and is returned.
    may_be_infinite : bool
        Whether not to look for infinity and NaN.

    Returns
    -------
    DeviceMatrix
        On the same memory, unless X is not C-contiguous.

    Raises
    ------
    ValueError
        When X is no matrix of finite float32 or float64, or lies on another GPU than the current.
    """
    if isinstance(X, DeviceMatrix):
        return X
    _check_gpu(X)
    array = cuda.as_cuda_array(X)
    if array.ndim != 2:
        raise ValueError(f"Expected 2D array, got {array.ndim}D array on the GPU instead")
    if 0 in array.shape:
        raise ValueError(f"X on the GPU has no elements: its shape is {tuple(array.shape)}")
    if array.dtype not in (np.float32, np.float64):
        raise ValueError(f"X on the GPU must be float32 or float64, got {array.dtype}")
    if not array.is_c_contiguous():
        array = _taken(array, np.arange(array.shape[0]), array.dtype)
    matrix = DeviceMatrix(array)
    if not may_be_infinite:
        found = cuda.to_device(np.zeros(1, np.int64))
        kernel = array_kernels(matrix.dtype)["find_infinite"]
        kernel[8 * default_n_blocks(), THREADS](matrix.elements(), found)
        if found.copy_to_host()[0]:
            raise ValueError("Input X contains NaN or infinity.")
    return matrix


def _check_gpu(array):
    """Raise unless an array lies on the current GPU, before it is used there."""
    address = 0 if is_simulated() else array.__cuda_array_interface__["data"][0]
    if not address:  # or empty
        return
    from .._numba import cuda_binding as binding
    from .._numba import cuda_driver as driver

    ordinal = binding.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    here = cuda.get_current_device().id
    there = driver.cuPointerGetAttribute(ordinal, address)
    if there != here:
        raise ValueError(
            f"an array lies on GPU {there}, and the current one is GPU {here}; copy it there, or "
            f"call numba.cuda.select_device({there})"
        )
