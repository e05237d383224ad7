"""Compiled libraries on the disk: where they lie, and which of them may be trusted."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import sys
import tempfile
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from cello import files
from cello.engines.cpu.toolchain.compiler import ENDING, Compiler

__all__ = [
    "CacheWarning",
    "cache_folder",
    "entry_name",
    "find",
    "give_up",
    "places",
    "places_to_search",
    "store",
]


class CacheWarning(UserWarning):
    """Compiled code cannot be kept where it should be, so that every process compiles again."""


# ---------------------------------------------------------------- folders


def cache_folder() -> Path:
    """Where compiled code is kept: $CELLO_CACHE, else a folder in the user's cache folder.

    Nothing is created or checked. Each library lies there with its C source and a few words on how
    it was made. The folder may be deleted at any time: what is needed is built again. It is not
    used if it belongs to another user or others can write to it, for its content is run; then, and
    if it cannot be written, a `CacheWarning` says so once and what is built lasts for the process.

    >>> cache_folder().is_absolute()
    True
    """
    asked = os.environ.get("CELLO_CACHE")
    if asked:
        return Path(os.path.abspath(os.path.expanduser(asked)))
    if sys.platform == "darwin":
        return Path(os.path.expanduser("~/Library/Caches/cello"))
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~")
        return Path(local, "cello", "cache")
    # A relative path is to be ignored, says the XDG base directory specification.
    for parent in (os.environ.get("XDG_CACHE_HOME", ""), os.path.expanduser("~/.cache")):
        if os.path.isabs(parent):
            return Path(parent, "cello")
    return Path(tempfile.gettempdir(), f"cello-{os.getuid()}")  # a user without a home


def places() -> Iterator[Path]:
    """Where a new library may be kept, the best place first; what is yielded exists."""
    folder = cache_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason: str | None = str(error)
    else:
        reason = _distrust(folder)
    if reason is None:
        yield folder
    else:
        give_up(folder, reason)
    try:
        private = _private_folder()
    except OSError:
        return
    yield private


def places_to_search() -> Iterator[Path]:
    """Where a library may already be; nothing is created and nobody warned."""
    for folder in (cache_folder(), *_private):
        if _distrust(folder) is None:
            yield folder


def give_up(folder: Path, reason: str) -> None:
    """Say once why the cache folder is not used."""
    if folder not in _warned and folder not in _private:
        _warned.add(folder)
        warnings.warn(
            f"compiled code is not kept in the cache folder {folder}: {reason}; until that is "
            "mended, or $CELLO_CACHE names another folder, every process compiles again",
            CacheWarning,
            stacklevel=2,
        )


_warned: set[Path] = set()
_private: list[Path] = []


def _private_folder() -> Path:
    """A folder for this process and those it forks, which goes when it ends."""
    if not _private or _distrust(_private[0]) is not None:
        folder = Path(tempfile.mkdtemp(prefix="cello-"))
        _private[:] = [folder]
        atexit.register(_remove, folder, os.getpid())
    return _private[0]


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def _distrust(folder: Path) -> str | None:
    """Why nothing in the folder may be trusted, or None.

    Whoever can write to it could have their code run by this process.
    """
    try:
        return _strangers(folder.stat())
    except OSError as error:
        return str(error)


def _strangers(status: os.stat_result) -> str | None:
    """Who else could have written this file or folder."""
    if os.name != "posix":
        return None
    if status.st_uid != os.geteuid():
        return f"it belongs to another user (number {status.st_uid})"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "others can write to it (mend it with chmod go-w)"
    return None


# ---------------------------------------------------------------- entries


def entry_name(name: str, source: str, compiler: Compiler) -> str:
    """The name that a library's files have in common; another for all that would change it."""
    parts = (source, *compiler.flags, compiler.identity, _processor())
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return f"{re.sub(r'[^A-Za-z0-9_.]', '_', name)[:60]}-{digest[:20]}"


def find(folder: Path, entry: str) -> Path | None:
    """The library, if it is there, whole, and nobody else's."""
    library = folder / f"{entry}{ENDING}"
    try:
        seal = json.loads((folder / f"{entry}.json").read_bytes())["seal"]
        with open(library, "rb") as file:
            if _strangers(os.fstat(file.fileno())) is None and files.seal(file.read()) == seal:
                return library
    except (OSError, ValueError, TypeError, KeyError):
        pass  # not there, or damaged: it is built anew
    return None


def store(folder: Path, entry: str, content: bytes, compiler: Compiler) -> Path:
    """Keep a library.

    Raises:
        OSError: the folder cannot be written.
    """
    library = folder / f"{entry}{ENDING}"
    try:
        files.replace(library, content, forced=False)
    except PermissionError:
        if find(folder, entry) is None:
            raise
        return library  # on Windows, what another process has built and loaded stays
    library.chmod(0o700)
    about = {
        "compiler": list(compiler.command),
        "flags": list(compiler.flags),
        "processor": _processor(),
        "seal": files.seal(content),
    }
    files.replace(folder / f"{entry}.json", json.dumps(about, indent=1).encode(), forced=False)
    return library


@cache
def _processor() -> str:
    """What the compiler may have looked at: the model and what it can do."""
    wanted = "vendor_id|cpu family|model|model name|stepping|flags|"  # x86
    wanted += "CPU implementer|CPU architecture|CPU variant|CPU part|Features|"  # ARM
    wanted += "isa|uarch|cpu"  # others
    found = [platform.machine()]
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, colon, value = line.partition(":")
                if not colon:
                    break  # the first processor ends here
                if name.strip() in wanted.split("|"):
                    found.append(value.strip())
    except OSError:
        found.append(platform.processor())
    return "\n".join(found)
