"""A loop of large states: per step, products by PyTorch and Triton functions for the rest.

Imports the phases of `gpu`; `gpu.launch` imports it.
"""
