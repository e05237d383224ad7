"""The extension in C++: taken from the cache, or built there by a process of its own.

With PyTorch's headers that takes ten seconds and more of a processor, so nobody waits for it: calls
go their way in Python meanwhile. So they do where there are no headers of PyTorch and Python, or no
C++ compiler, or where PyTorch's interface in C++ is another one.
"""

from __future__ import annotations

import atexit
import importlib.machinery
import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from dataclasses import dataclass, replace
from importlib.resources import files as files_of
from pathlib import Path
from typing import Any

import torch

from cello import files
from cello.engines.cpu.toolchain import cache
from cello.engines.cpu.toolchain.build import build, compiler, found
from cello.engines.cpu.toolchain.compiler import Compiler, identity_of
from cello.errors import CompilerError

__all__ = ["extension", "make", "why_not"]

NAME = "cello_node"
_OF_CPP = {"cc": "c++", "gcc": "g++", "clang": "clang++"}


@dataclass
class _State:
    """What this process knows of the extension."""

    module: Any = None
    child: Any = None  # the process that builds it
    is_over: bool = False  # whether there will be none


_state = _State()


def extension(*, begin: bool = False) -> Any | None:
    """The module, or None as long as there is none.

    Args:
        begin: whether a process may be started that builds it. That has the lowest priority, and
            goes on if this one ends.
    """
    if _state.module is None and not _state.is_over:
        _look(begin)
    return _state.module


def _look(begin: bool) -> None:
    if _state.child is not None and _state.child.poll() is None:
        return
    tools = cpp_compiler()
    if isinstance(tools, str):
        _state.is_over = True
        return
    library = found(NAME, _source(), tools)
    if library is not None:
        loader = importlib.machinery.ExtensionFileLoader(NAME, library._name)
        spec = importlib.util.spec_from_file_location(NAME, library._name, loader=loader)
        assert spec is not None
        _state.module = importlib.util.module_from_spec(spec)
        loader.exec_module(_state.module)
    elif _state.child is not None or _failure(tools).exists():
        _state.is_over = True
    elif begin:
        _start()


def _start() -> None:
    import subprocess

    if cache.cache_folder() not in cache.places_to_search() or not sys.executable:
        _state.is_over = True  # it could be kept nowhere
        return
    paths = os.pathsep.join(map(os.path.abspath, sys.path))
    _state.child = subprocess.Popen(
        [sys.executable, "-c", f"import {__name__} as node; node.make(19)"],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    atexit.register(_let_go, _state.child)


def _let_go(child: Any) -> None:
    """Nobody waits for what outlasts this process, which Python would complain about."""
    if child.poll() is None:
        child.returncode = 0


def make(nice: int = 0) -> None:
    """Build it, unless it is there, has failed before, or cannot be built here.

    Several processes that want it wait for the first.
    """
    tools = cpp_compiler()
    if isinstance(tools, str) or _failure(tools).exists():
        return
    import fcntl  # where there is none, there are no tools

    os.nice(nice)
    for folder in cache.places():
        with open(folder / f"{NAME}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                build(NAME, _source(), tools)
            except CompilerError as error:
                files.replace(_failure(tools), str(error).encode())
        return


def why_not() -> str | None:
    """Why calls go their way in Python; None if they need not, or not for long."""
    tools = cpp_compiler()
    if isinstance(tools, str):
        return tools
    return "it could not be compiled" if _failure(tools).exists() else None


def cpp_compiler() -> Compiler | str:
    """The C++ compiler beside the C compiler, with what PyTorch's headers want; or why not."""
    torchs = Path(torch.__file__).parent
    of_python = Path(sysconfig.get_path("include"))
    if sys.platform != "linux":
        return f"it is built on Linux only, not on {sys.platform}"
    for header in (of_python / "Python.h", torchs / "include/torch/csrc/autograd/function.h"):
        if not header.exists():
            return f"{header} is not there"
    try:
        of_c = compiler()
    except CompilerError as error:
        return str(error)
    *before, last = of_c.command
    name = re.fullmatch(r"(.*?)(cc|gcc|clang)(-[\d.]+)?", last)
    twin = name and shutil.which(f"{name[1]}{_OF_CPP[name[2]]}{name[3] or ''}")
    if not twin:
        return f"no C++ compiler stands beside {of_c}"
    command = (*before, twin)
    abi = int(torch._C._GLIBCXX_USE_CXX11_ABI)
    version = (torch.__version__, str(torch.version.git_version), sys.version)
    return replace(
        of_c,
        command=command,
        identity="\n".join((identity_of(command), *version)),
        flags=(
            *("-std=c++20", "-O1", "-fPIC", "-shared", f"-D_GLIBCXX_USE_CXX11_ABI={abi}"),
            *(f"-I{of_python}", f"-I{torchs / 'include'}"),
        ),
        libraries=(f"-L{torchs / 'lib'}", "-lc10", "-ltorch_cpu", "-ltorch_python"),
        ending=".cpp",
    )


def _source() -> str:
    folder = files_of("cello.engines.cpu.node")
    parts = ("loop.cpp", "backward.cpp", "module.cpp")
    return "\n".join(folder.joinpath(part).read_text(encoding="utf-8") for part in parts)


def _failure(tools: Compiler) -> Path:
    """What is there if it could not be built."""
    return cache.cache_folder() / f"{cache.entry_name(NAME, _source(), tools)}.failed"
