"""`cello info`: what there is on this machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import click

from cello.cli.command import Command
from cello.cli.output import json_option, print_json, print_tables

__all__ = ["command"]

_PACKAGES = (
    "torch",
    "numpy",
    "safetensors",
    "lightning-fabric",
    "scikit-learn",
    "seqeval",
    "tensorboard",
    "optuna",
    "xarray",
)


@click.command(
    cls=Command,
    example="""
    cello info
    cello info --json
    """,
)
@json_option
def command(as_json: bool) -> None:
    """Print versions, the processor, threads, engines, the C compiler, and the default data."""
    import torch

    from cello._version import __version__
    from cello.engines import NAMED_ENGINES
    from cello.engines.cpu.toolchain.cache import cache_folder

    values: dict[str, Any] = {
        "cello": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "engines": ["auto", *NAMED_ENGINES],
        "loops on a gpu": _gpu_loops(),
        "compiler": _compiler(),
        "calls": _calls(),
        "cache": str(cache_folder()),
        "default data": _default_data(),
    }
    if as_json:
        print_json(values)
        return
    rows = [[name, _shown(value)] for name, value in values.items()]
    print_tables(["what", "found"], rows)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "not installed" if value is None else str(value)


def _version(package: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """Its name, as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _gpu_loops() -> str:
    """Whether engine "gpu" can run here, and when it does."""
    import torch

    if not torch.cuda.is_available():
        return "none: PyTorch sees no GPU"
    if _version("triton") is None:
        return "none: Triton is not installed"
    return "in Triton, by themselves once a first call of a cell equals its step on that card"


def _compiler() -> str:
    """The C compiler that works here, or why there is none."""
    from cello.engines.cpu.toolchain.build import compiler
    from cello.errors import CompilerError

    try:
        return str(compiler())
    except CompilerError as error:
        return str(error)


def _calls() -> str:
    """Whether a call of a compiled loop is C++, or why it is Python."""
    from cello.engines.cpu.node.extension import extension, why_not

    if extension() is not None:
        return "in C++"
    reason = why_not()
    return "in C++ once it is built, after some calls" if reason is None else f"in Python: {reason}"


def _default_data() -> str:
    """How much of the standard library's source is there."""
    from cello.errors import DataError
    from cello.tasks.readers.corpus import standard_library

    try:
        documents = standard_library()
    except DataError as error:
        return str(error)
    size = sum(len(document.text) for document in documents)
    return f"{len(documents)} files, {size:,} characters"
