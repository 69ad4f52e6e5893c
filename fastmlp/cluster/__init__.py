"""Training on a cluster of Dask: networks circulate over the shards of a table.

The functions are those of :mod:`fastmlp.streaming`. What becomes of a row, and what a visit leads
to, follows from plain data, so that neither the number of workers nor the loss of one changes the
model.
"""
