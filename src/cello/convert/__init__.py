"""Networks as files: specifications that people can read, and saved models."""

from cello.convert.config import CONFIG, FORMAT, read_config
from cello.convert.saved import load_model, model_files, not_numbers, save_model
from cello.convert.spec import Built, build_net, net_from_spec, net_to_spec

__all__ = [
    "CONFIG",
    "FORMAT",
    "Built",
    "build_net",
    "load_model",
    "model_files",
    "net_from_spec",
    "net_to_spec",
    "not_numbers",
    "read_config",
    "save_model",
]
