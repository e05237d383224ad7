"""A net as a graph: what it is, which axes and sizes it takes, how it is built and run by steps.

Imports `convert.proof`, the operators of ONNX, `layers` and below; all conversions import it.
"""

from cello.convert.graph.net_graph import FUNCTIONS, NetGraph, run_node

__all__ = ["FUNCTIONS", "NetGraph", "run_node"]
