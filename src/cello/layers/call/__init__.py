"""What a layer's call takes and gives: inputs, steps, states and the result.

Knows cells and engines and no layer; the layers are made of it.
"""
