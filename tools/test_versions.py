"""Run the fast tests on each Python that is here, and on the oldest and newest PyTorch.

Run by `make test-versions`. Each pair gets an environment of its own, `.venv-py3.12-torch2.13.0`,
kept for the next time. What the machine lacks is named and left out; anything that fails fails all.
"""

import re
import shutil
import subprocess
import sys

from pythons import CPU_BUILD, PINNED, PYTHONS, ROOT, python_of

NEWEST = PINNED["torch"]
OLDEST = re.search(r'"torch>=([\d.]+)', (ROOT / "pyproject.toml").read_text("utf-8"))[1]
TESTS = ["-q", "-n", "2", "--dist", "loadgroup", "-m", "not slow"]


def environment(python, version, torch):
    """The interpreter of an environment with that PyTorch and everything else as pinned."""
    folder = ROOT / f".venv-py{version}-torch{torch}"
    own = folder / "bin" / "python"
    done = folder / ".setup-done"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", folder], check=True)
        pinned = PINNED | {"torch": torch + CPU_BUILD}
        wanted = [f"{name}=={pin}" for name, pin in pinned.items()]
        pip = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run([*pip, *wanted]).returncode != 0:
            shutil.rmtree(folder)
            return None
        subprocess.run([*pip, "--no-deps", "--editable", ROOT], check=True)
        done.touch()
    return own


def main():
    """Run all; return how many failed."""
    results = {}
    for version in PYTHONS:
        python = python_of(version)
        for torch in (NEWEST, OLDEST) if version == PYTHONS[0] else (NEWEST,):
            what = f"Python {version}, PyTorch {torch}"
            if python is None:
                results[what] = "left out: no such Python here"
                continue
            print(f"== {what}", flush=True)
            own = environment(python, version, torch)
            if own is None:
                results[what] = "left out: the packages cannot be installed"
                continue
            ran = subprocess.run([own, "-m", "pytest", *TESTS, *sys.argv[1:]], cwd=ROOT)
            results[what] = "passed" if ran.returncode == 0 else "FAILED"
    for what, result in results.items():
        print(f"{what}: {result}")
    return sum(result == "FAILED" for result in results.values())


if __name__ == "__main__":
    sys.exit(main())
