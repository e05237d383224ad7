"""Tensors of a step whose rows do not stand first, and what operations do to them.

Imports `graph`, `operations` and the functions of a trace; `one_trace` imports it.
"""
