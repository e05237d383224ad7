"""The Pythons that Cello runs on, and where they are on this machine."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PINNED = dict(
    re.findall(r"^(\S+)==(.+)$", (ROOT / "requirements-dev.txt").read_text("utf-8"), re.MULTILINE)
)
#: On Linux the build of PyTorch for CPUs, where pip is told to find one: the other build brings
#: gigabytes of CUDA.
CPU_BUILD = "+cpu" if sys.platform == "linux" else ""


def python_of(version):
    """A Python of that version, or None: on the path, or of pyenv."""
    found = shutil.which(f"python{version}")
    kept = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    for candidate in ([found] if found else []) + kept[::-1]:
        says = subprocess.run([candidate, "--version"], capture_output=True, text=True)
        if says.returncode == 0 and f" {version}." in says.stdout:
            return candidate
    return None
