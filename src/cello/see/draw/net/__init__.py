"""The picture of a net: its layers, and the net unrolled in time.

Imports `layout`, `paint` and `step`; `front` imports it.
"""
