"""The CPU backend: compiled kernels, their memory layout and the engine that runs them."""
