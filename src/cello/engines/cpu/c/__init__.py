"""Writes the C of a kernel: expressions, products, regions, loops over time, and the whole file.

Imports `program.kernel`; the plan and the library of the CPU engine import it.
"""
