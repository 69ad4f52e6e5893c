"""A page in the browser where a small network is seen to learn."""
