"""Where each box of a drawing stands, and how the lines between them run.

Imports `paint` for the sizes of texts; `draw_net` imports it.
"""
