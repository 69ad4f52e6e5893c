"""Training on tables that are larger than the memory.

A table is read twice: for statistics and a sample, and to deal its rows to shards. A network then
visits the shards in turn. Each step is a function of plain data, so that whoever has several
machines can run visits there.
"""
