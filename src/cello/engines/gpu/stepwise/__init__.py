"""A loop of large states: per step, products by PyTorch and Triton functions for the rest.

Written with the phases of `gpu`; `gpu.launch` calls it.
"""
