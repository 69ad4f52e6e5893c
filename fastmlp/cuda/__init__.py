"""The NVIDIA GPU backend: imported only when a GPU is asked for."""
