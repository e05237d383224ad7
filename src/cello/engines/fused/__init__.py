"""What all fused loops have, whatever they are written in: plans, steps, pointers, operations.

Imports `program`, and of the other engines only what replays a step; `cpu` and `gpu` import it.
"""
