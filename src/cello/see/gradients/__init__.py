"""Where gradients flow: through time (`flow`, horizons), and from an output to its inputs.

Imports `recording`; the diagnosis and the page import it.
"""
