"""Build the wheel and the source archive, look through them, and try them as a stranger would.

Run by `make packages`, and for some Pythons only by `make packages ARGS="3.11"`. Both lie in dist/
afterwards. They are the same to the byte whenever and wherever they are built. Each Python that is
here gets a bare environment with the wheel alone, in which a layer runs, `cello example` and `cello
demo` too, then once more with no C compiler on the path. What the machine lacks is named and left
out; anything that fails fails all.
"""

import datetime
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from pythons import CPU_BUILD, PINNED, PYTHONS, ROOT, python_of

#: What is not in the source archive (pyproject.toml), and what building adds.
LEFT_OUT = {".ci/run", ".pre-commit-config.yaml"}
ADDED = {"PKG-INFO"}

LAYER = """
import torch, cello
torch.manual_seed(0)
layer = cello.Recurrent(cello.LSTMCell(3, 4))
x = torch.randn(5, 2, 3)
y, state = layer(x)
y.sum().backward()
with cello.engine("reference"):
    assert torch.allclose(y, layer(x)[0], atol=1e-6)
print(cello.__version__)
"""

SIZES = """
import importlib.metadata, json
print(json.dumps({
    f"{d.metadata['Name']} {d.version}":
        sum(f.locate().stat().st_size for f in d.files or () if f.locate().exists())
    for d in importlib.metadata.distributions()
}))
"""


class PackageFault(Exception):
    """A package is not what it must be."""


def moment(citation):
    """The second of which both archives are: the day of the release; hatchling's where none is.

    >>> moment("date-released: 1970-01-02")
    '86400'
    """
    day = re.search(r"^date-released: (\S+)$", citation, re.MULTILINE)
    if day is None:
        return "1580601600"
    midnight = datetime.datetime.fromisoformat(f"{day[1]}T00:00+00:00")
    return str(int(midnight.timestamp()))


def faults_of_wheel(names, tracked):
    """What a wheel of these names lacks or has too much.

    Args:
        names: of the files in it.
        tracked: the files of the repository.
    """
    wanted = {path.removeprefix("src/") for path in tracked if path.startswith("src/cello/")}
    inside = {name for name in names if ".dist-info/" not in name}
    about = {name.partition(".dist-info/")[2] for name in names} - {""}
    needed = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    return [
        *(f"the wheel lacks {name}" for name in sorted(wanted - inside)),
        *(f"the wheel should not hold {name}" for name in sorted(inside - wanted)),
        *(f"the wheel's description lacks {name}" for name in sorted(needed - about)),
    ]


def faults_of_sdist(names, tracked):
    """The same of a source archive, which holds all that is needed to test and build it."""
    inside = {name.partition("/")[2] for name in names}
    wanted = set(tracked) - LEFT_OUT
    more = inside - wanted - ADDED
    return [
        *(f"the source archive lacks {name}" for name in sorted(wanted - inside)),
        *(f"the source archive should not hold {name}" for name in sorted(more)),
    ]


def run(command, **options):
    """Run a command; if it fails, that is a fault, with all that it said."""
    done = subprocess.run(
        list(map(str, command)),
        **{"cwd": ROOT, "encoding": "utf-8", "errors": "replace", "capture_output": True} | options,
    )
    if done.returncode != 0:
        said = f"{done.stdout}{done.stderr}".strip()
        raise PackageFault(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said}")
    return done


def tracked_files():
    """The files of the repository: those that git has or would take."""
    return run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    ).stdout.splitlines()


def build(folder, source=ROOT):
    """Make a source archive and a wheel of a tree, without a network; return both paths."""
    epoch = moment((source / "CITATION.cff").read_text(encoding="utf-8"))
    run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder],
        cwd=source,
        env=os.environ | {"SOURCE_DATE_EPOCH": epoch},
    )
    return *folder.glob("*.tar.gz"), *folder.glob("*.whl")


def same_again(sdist, wheel, folder):
    """Building again gives the same bytes; so does the wheel that the source archive builds."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    once, twice = build(folder / "once"), build(folder / "twice", unpacked)
    for one, other in ((sdist, once[0]), (wheel, once[1]), (wheel, twice[1])):
        if not filecmp.cmp(one, other, shallow=False):
            raise PackageFault(f"{one.name} is another one when it is built again")


def check(sdist, wheel):
    """Look through both archives."""
    tracked = tracked_files()
    with zipfile.ZipFile(wheel) as archive:
        faults = faults_of_wheel(archive.namelist(), tracked)
    with tarfile.open(sdist) as archive:
        faults += faults_of_sdist(archive.getnames(), tracked)
    if faults:
        raise PackageFault("\n".join(faults))
    with tempfile.TemporaryDirectory() as folder:
        same_again(sdist, wheel, Path(folder))
    run([sys.executable, "-m", "twine", "check", "--strict", sdist, wheel])
    run([sys.executable, "-m", "check_wheel_contents", wheel])


def tried(python, wheel, folder):
    """Install the wheel into a bare environment and use it; return the size of what came along."""
    run([python, "-m", "venv", folder / "venv"])
    scripts = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    own = scripts / "python"
    pip = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    install_torch(pip)
    run([*pip, wheel])
    sizes = json.loads(run([own, "-c", SIZES]).stdout)
    clean = {name: value for name, value in os.environ.items() if name not in ("CC", "PYTHONPATH")}
    clean |= {"CELLO_CACHE": str(folder / "cache"), "PYTHONUTF8": "1"}
    bare = clean | {"PATH": str(scripts), "CELLO_CACHE": str(folder / "none")}
    use(own, scripts / "cello", folder, clean)
    said = use(own, scripts / "cello", folder, bare)
    if "no C compiler" not in said:
        raise PackageFault(f"nothing is said of a missing compiler, only:\n{said}")
    run([*pip, f"{wheel}[train]"])
    for name, environment in (("with", clean), ("without", bare)):
        demo = ["demo", "--epochs", "1", "--pieces", "64", "-o", folder / name]
        run([scripts / "cello", *demo], cwd=folder, env=environment)
    return sizes


def install_torch(pip):
    """Install PyTorch for CPUs alone, where there is such a build; say so if pip cannot.

    What pip takes for the wheel then brings CUDA along.

    Args:
        pip: the words of a command that installs.
    """
    if not CPU_BUILD:
        return
    wanted = f"torch=={PINNED['torch']}{CPU_BUILD}"
    try:
        run([*pip, wanted])
    except PackageFault as fault:
        said = [line for line in str(fault).splitlines() if line.startswith("ERROR")]
        print(f"  without {wanted}: {' '.join(said[:1])}", flush=True)
        print("  pip takes the build for CUDA in its place: gigabytes", flush=True)


def use(python, cello, folder, environment):
    """Run a layer and two examples; return what was said on standard error."""
    commands = [python, "-c", LAYER], [cello, "example"], [cello, "example", "lstm-nine"]
    return "".join(run(words, cwd=folder, env=environment).stderr for words in commands)


def main(versions=PYTHONS):
    """Build and check; try on these versions of Python; return how many failed."""
    folder = ROOT / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    sdist, wheel = build(folder)
    check(sdist, wheel)
    for path in (sdist, wheel):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")
    failed = 0
    for version in versions:
        python = python_of(version)
        if python is None:
            print(f"Python {version}: left out, there is none here")
            continue
        print(f"Python {version}: installing", flush=True)
        with tempfile.TemporaryDirectory() as room:
            try:
                sizes = tried(python, wheel, Path(room))
            except PackageFault as fault:
                failed += 1
                print(f"Python {version}: FAILED\n{fault}", flush=True)
                continue
        print(f"Python {version}: installed, tried with a C compiler and without", flush=True)
        largest = sorted(sizes.items(), key=lambda item: -item[1])
        print("  " + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in largest), flush=True)
    return failed


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:] or PYTHONS))
    except PackageFault as fault:
        sys.exit(f"error: {fault}")
