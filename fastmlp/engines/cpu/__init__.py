"""The engine of the CPU: its compiled kernels, and the layout of their memory."""
