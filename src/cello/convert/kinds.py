"""The kinds of modules that a specification can name, and the arguments that make each.

A file chooses among these and the classes that the caller passes; nothing is ever imported by a
name that stands in a file.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from cello import cells, layers
from cello.cells import zoo
from cello.convert.graph import NetGraph
from cello.convert.keras.functions import KerasActivation
from cello.convert.keras.masked import MaskedCell
from cello.convert.onnx_read.onnx_cells import BodyCell, InputForgetLSTMCell, ScaledActivation
from cello.convert.onnx_read.operators.constants import Held
from cello.errors import ArgumentError, DtypeError
from cello.layers.encoders import ENCODERS

__all__ = ["KINDS", "Kind", "classes_of", "kinds_with"]


@dataclass(frozen=True)
class Kind:
    """How modules of one class are described and built.

    Attributes:
        build: makes one, called with keyword arguments.
        arguments: the names of these, required ones first.
        required: those that have no default.
        read: the arguments that would make a given module again.
    """

    build: Callable[..., nn.Module]
    arguments: tuple[str, ...]
    required: tuple[str, ...]
    read: Callable[[Any], dict[str, Any]]


# ------------------------------------------------------------ how arguments are read


def _of_class(cls: type[nn.Module]) -> Kind:
    """A class whose objects give their constructor's arguments by `config()`."""
    skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = [
        parameter
        for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]
        if parameter.kind not in skipped
    ]
    return Kind(
        cls,
        tuple(parameter.name for parameter in parameters),
        tuple(p.name for p in parameters if p.default is inspect.Parameter.empty),
        lambda module: module.config(),
    )


def _by_attributes(cls: type[nn.Module], names: str) -> Kind:
    """A class of PyTorch's, whose arguments are attributes; required ones are marked `*`."""
    marked = names.split()
    arguments = tuple(name.rstrip("*") for name in marked)

    def read(module: Any) -> dict[str, Any]:
        values = {name: getattr(module, name) for name in arguments}
        if not isinstance(values.get("bias", True), bool):  # the parameter itself, or None
            values["bias"] = isinstance(values["bias"], Tensor)
        return values

    return Kind(cls, arguments, tuple(n[:-1] for n in marked if n.endswith("*")), read)


def _of_modules(cls: type[nn.Module], *options: str) -> Kind:
    """A class that takes any number of modules, and options by name."""

    def build(modules: list[nn.Module], **values: Any) -> nn.Module:
        return cls(*modules, **values)

    def read(module: Any) -> dict[str, Any]:
        return {"modules": list(module), **{name: getattr(module, name) for name in options}}

    return Kind(build, ("modules", *options), ("modules",), read)


def _recurrent(layer: layers.Recurrent) -> dict[str, Any]:
    options = ("cell", "reverse", "batch_first", "initial_state")
    return {name: getattr(layer, name) for name in options}


def _bidirectional(layer: layers.Bidirectional) -> dict[str, Any]:
    return {
        "forward": layer.forward_layer.cell,
        "backward": layer.backward_layer.cell,
        "join": layer.join,
        "batch_first": layer.batch_first,
        "initial_state": layer.forward_layer.initial_state,
    }


# ------------------------------------------------------------ what there is

_OPTIONS = ("batch_first", "initial_state")
_LAYER = "input_size* hidden_size* num_layers bias batch_first dropout bidirectional "

#: Every kind by its name in a file. Which engine runs a layer belongs to the machine, not here.
KINDS: dict[str, Kind] = {
    "Stack": _of_modules(layers.Stack, "batch_first"),
    "Recurrent": Kind(layers.Recurrent, ("cell", "reverse", *_OPTIONS), ("cell",), _recurrent),
    "Bidirectional": Kind(
        layers.Bidirectional,
        ("forward", "backward", "join", *_OPTIONS),
        ("forward",),
        _bidirectional,
    ),
    "RNN": _by_attributes(layers.RNN, _LAYER + "nonlinearity"),
    "LSTM": _by_attributes(layers.LSTM, _LAYER + "proj_size"),
    "GRU": _by_attributes(layers.GRU, _LAYER),
    **{
        cls.__name__: _of_class(cls)
        for cls in (
            cells.ElmanCell,
            cells.JordanCell,
            cells.LSTMCell,
            cells.GRUCell,
            cells.TorchRNNCell,
            cells.TorchLSTMCell,
            cells.TorchGRUCell,
            cells.ForeignCell,
            *(getattr(zoo, name) for name in zoo.__all__),
            *ENCODERS,
            layers.Log,
            layers.CRF,
            layers.LastStep,
            layers.MeanOverTime,
            layers.MaxOverTime,
            layers.AttentionOverTime,
            NetGraph,
            MaskedCell,
            KerasActivation,
            BodyCell,
            Held,
            InputForgetLSTMCell,
            ScaledActivation,
        )
    },
    "Sequential": _of_modules(nn.Sequential),
    **{
        name: _by_attributes(getattr(nn, name), arguments)
        for name, arguments in {
            "Linear": "in_features* out_features* bias",
            "Embedding": "num_embeddings* embedding_dim* padding_idx max_norm norm_type "
            "scale_grad_by_freq sparse",
            "EmbeddingBag": "num_embeddings* embedding_dim* max_norm norm_type "
            "scale_grad_by_freq mode sparse include_last_offset padding_idx",
            "BatchNorm1d": "num_features* eps momentum affine track_running_stats",
            "Conv1d": "in_channels* out_channels* kernel_size* stride padding dilation groups bias",
            "LayerNorm": "normalized_shape* eps elementwise_affine bias",
            "Dropout": "p inplace",
            "Dropout1d": "p inplace",
            "MaxPool1d": "kernel_size* stride padding dilation return_indices ceil_mode",
            "AvgPool1d": "kernel_size* stride padding ceil_mode count_include_pad",
            "Identity": "",
            "Sigmoid": "",
            "Tanh": "",
            "ReLU": "inplace",
            "LeakyReLU": "negative_slope inplace",
            "ELU": "alpha inplace",
            "PReLU": "num_parameters",
            "GELU": "approximate",
            "SiLU": "inplace",
            "Softplus": "beta threshold",
            "Softsign": "",
            "CELU": "alpha inplace",
            "SELU": "inplace",
            "GLU": "dim",
            "Mish": "inplace",
            "ReLU6": "inplace",
            "LogSigmoid": "",
            "Tanhshrink": "",
            "Hardshrink": "lambd",
            "Softshrink": "lambd",
            "Hardswish": "inplace",
            "Hardsigmoid": "inplace",
            "Hardtanh": "min_val max_val inplace",
            "Softmax": "dim",
            "LogSoftmax": "dim",
        }.items()
    },
}

#: The class of each kind, to tell a module of ours from one of a user's class of that name.
CLASSES: dict[str, type[nn.Module]] = {
    **{name: kind.build for name, kind in KINDS.items() if isinstance(kind.build, type)},
    "Stack": layers.Stack,
    "Sequential": nn.Sequential,
}


def classes_of(cells: Any) -> tuple[type[nn.Module], ...]:
    """The caller's own classes.

    Raises:
        DtypeError: they are no collection, or one of them is no module class.
    """
    if isinstance(cells, type):
        name = cells.__name__
        raise DtypeError(f"cells must be a list of classes, cells=[{name}], got {name} itself")
    if isinstance(cells, str) or not isinstance(cells, Iterable):
        raise DtypeError(f"cells must be a list of classes, got {type(cells).__name__}")
    classes = tuple(cells)
    for cls in classes:
        if not (isinstance(cls, type) and issubclass(cls, nn.Module)):
            what = cls if isinstance(cls, type) else type(cls)
            raise DtypeError(f"cells must hold classes of modules, got {what.__name__}")
    return classes


def kinds_with(classes: Iterable[Any]) -> dict[str, Kind]:
    """All kinds, and those of the caller's own classes.

    Raises:
        DtypeError: `classes` is no collection, or one of them is no module class.
        ArgumentError: one of them has the name of a kind of ours.
    """
    kinds = dict(KINDS)
    for cls in classes_of(classes):
        if cls is CLASSES.get(cls.__name__):
            continue
        if cls.__name__ in KINDS:
            raise ArgumentError(
                f"cells must not hold a class named {cls.__name__}: Cello has one of that name; "
                "rename yours"
            )
        kinds[cls.__name__] = _of_class(cls)
    return kinds
