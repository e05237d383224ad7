"""From a cell's `step` to a program: run it on stand-ins, compare the traces, name the locals.

Imports `graph` and the cells; `program.cache` imports it.
"""
