"""Arrays of other libraries that lie on the device already, which are used without a copy."""

from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import DTypeLike

from .arguments import DeviceArray
from .blocks import THREADS
from .kernels import array_kernels
from .network import default_n_blocks, one_at_a_time
from .support import is_simulated


class DeviceMatrix:
    """A dense, C-contiguous matrix of floats on the device, which can be used as X.

    Slices of its rows share its memory; rows that are chosen by their numbers are copied on the
    device. NumPy converts it to an array on the host.

    Parameters
    ----------
    array : device array of shape (n_rows, n_columns), float32 or float64
    """

    is_device_matrix = True
    ndim = 2

    def __init__(self, array: DeviceArray) -> None:
        self._array = array
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype = np.dtype(array.dtype)
        self.size = self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    @one_at_a_time
    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._array.copy_to_host(), dtype)

    def __getitem__(self, key: Any) -> "DeviceMatrix":
        if isinstance(key, slice):
            return DeviceMatrix(self._array[key])
        rows = key[0] if isinstance(key, tuple) else key
        return DeviceMatrix(_taken(self._array, np.arange(len(self))[rows], self.dtype))

    def astype(self, dtype: DTypeLike) -> "DeviceMatrix":
        """Return the matrix itself where it has the type, else a copy on the device."""
        if self.dtype == dtype:
            return self
        return DeviceMatrix(_taken(self._array, np.arange(len(self)), dtype))

    @one_at_a_time
    def is_finite(self) -> bool:
        """Tell whether all elements are finite."""
        found = cuda.to_device(np.zeros(1, np.int64))
        kernel = array_kernels(self.dtype)["find_infinite"]
        kernel[8 * default_n_blocks(), THREADS](self.elements(), found)
        return not found.copy_to_host()[0]

    def elements(self) -> DeviceArray:
        """Return the elements as a vector on the device, without a copy."""
        return self._array.reshape(self.size)


@one_at_a_time
def _taken(array: DeviceArray, rows: np.ndarray, dtype: DTypeLike) -> DeviceArray:
    """Copy some rows of an array to a contiguous one of a type on the device."""
    result = cuda.device_array((rows.size, array.shape[1]), dtype)
    kernel = array_kernels(np.dtype(dtype))["take"]
    kernel[8 * default_n_blocks(), THREADS](array, cuda.to_device(rows), result)
    return result


@one_at_a_time
def to_host(array: Any) -> np.ndarray:
    """Copy an array with ``__cuda_array_interface__`` to a NumPy array."""
    _check_gpu(array)
    copy: np.ndarray = cuda.as_cuda_array(array).copy_to_host()
    return copy


@one_at_a_time
def device_matrix(X: Any, may_be_infinite: bool) -> DeviceMatrix:
    """Check an array that lies on the device, to use it as X of a fit or a prediction.

    Parameters
    ----------
    X : array of shape (n_rows, n_features) with ``__cuda_array_interface__``, or DeviceMatrix
        A DeviceMatrix is returned unchanged, since it was checked when it was made.
    may_be_infinite : bool
        Whether values that are not finite are accepted.

    Returns
    -------
    DeviceMatrix
        It uses the memory of X, unless X is not C-contiguous.

    Raises
    ------
    ValueError
        When X is not a matrix of finite float32 or float64, or lies on a GPU other than the
        current one.
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
    if not may_be_infinite and not matrix.is_finite():
        raise ValueError("Input X contains NaN or infinity.")
    return matrix


def _check_gpu(array: Any) -> None:
    """Raise ValueError unless an array lies on the current GPU."""
    address = 0 if is_simulated() else array.__cuda_array_interface__["data"][0]
    if not address:  # the array is empty, or the GPU is simulated
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
