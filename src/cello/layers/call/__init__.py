"""What a layer's call takes and gives: inputs, steps, states and the result.

Imports cells and engines and no layer; the layers import it.
"""
