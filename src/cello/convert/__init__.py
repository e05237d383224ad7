"""Networks as files: specifications that people can read, and saved models."""

from cello.convert.saved import FORMAT, load_model, read_config, save_model
from cello.convert.spec import Built, build_net, net_from_spec, net_to_spec

__all__ = [
    "FORMAT",
    "Built",
    "build_net",
    "load_model",
    "net_from_spec",
    "net_to_spec",
    "read_config",
    "save_model",
]
