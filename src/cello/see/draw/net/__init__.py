"""The picture of a net: its layers, and the net unrolled in time.

Imports `paint` and `step`; `draw_net` imports it.
"""
