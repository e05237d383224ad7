"""Rules of the house that no linter knows."""

from __future__ import annotations

import importlib.metadata
import inspect
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement

import cello

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "cello"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements(name: str) -> list[Requirement]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


PINS = requirements("requirements-dev.txt")


# ------------------------------------------------------------ imports

# What `import cello` must leave unloaded: it is loaded where it is used.
HEAVY = [
    "captum",
    "click",
    "jax",
    "lightning",
    "lightning_fabric",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "pandas",
    "resvg_py",
    "rich",
    "safetensors",
    "seqeval",
    "sklearn",
    "tensorboard",
    "xarray",
]


def test_import_cello_loads_nothing_heavy():
    code = "import sys, cello; print(*(name.partition('.')[0] for name in sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "cello" in loaded
    assert sorted(set(HEAVY) & set(loaded)) == []


# ------------------------------------------------------------ code


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_small(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_public_names_exist_and_are_listed_once():
    assert sorted(cello.__all__) == sorted(set(cello.__all__))
    assert [name for name in cello.__all__ if not hasattr(cello, name)] == []


@pytest.mark.parametrize("module", [cello, cello.zoo, cello.errors], ids=lambda m: m.__name__)
def test_dir_shows_what_is_public_and_nothing_else(module: ModuleType):
    assert dir(module) == sorted(module.__all__)


def test_public_names_have_docstrings():
    described = [name for name in cello.__all__ if callable(getattr(cello, name))]
    assert described, "cello.__all__ names nothing that can be called"
    # Not inspect.getdoc: a docstring that is only inherited describes something else.
    missing = [name for name in described if not (getattr(cello, name).__doc__ or "").strip()]
    assert missing == []


def test_public_methods_have_docstrings():
    missing = []
    for thing in (getattr(cello, name) for name in cello.__all__):
        if not inspect.isclass(thing):
            continue
        for name, member in vars(thing).items():
            is_method = inspect.isroutine(member) or isinstance(member, property)
            # An override may leave it to what it overrides.
            if is_method and name[0] != "_" and not inspect.getdoc(getattr(thing, name)):
                missing.append(f"{thing.__name__}.{name}")
    assert missing == []


def test_public_functions_are_annotated():
    missing = []
    for name in cello.__all__:
        thing = getattr(cello, name)
        if inspect.isfunction(thing):
            signature = inspect.signature(thing)
            kinds = [parameter.annotation for parameter in signature.parameters.values()]
            if inspect.Signature.empty in [*kinds, signature.return_annotation]:
                missing.append(name)
    assert missing == []


# ------------------------------------------------------------ text

# Written in pieces, so that this file does not find itself.
FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w.$])/(?:"
            + "|".join(["wo" + "rk", "ro" + "ot", "ho" + "me", "Us" + "ers"])
            + ")/",
            "/tm" + "p/",
            "py" + r"pi\.(?:org|python)",
            "python" + r"hosted\.",
            r"download\.py" + "torch",
            "--(?:extra-)?inde" + "x-url",
            "--find-" + "links",
            "registry" + r"\.npm",
            "TO" + "DO|FIX" + "ME|XX" + "X",
        ]
    )
)
WRITTEN = sorted(
    path
    for pattern in (
        "*",
        ".ci/*",
        "src/**/*",
        "tests/**/*",
        "docs/**/*",
        "benchmarks/**/*",
        "tools/*",
    )
    for path in ROOT.glob(pattern)
    if path.is_file()
    and "__pycache__" not in path.parts
    and not path.name.startswith((".venv", ".coverage"))
    if path.suffix != ".png"
)


def forbidden_lines(text: str) -> list[str]:
    return [
        f"{number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), start=1)
        if FORBIDDEN.search(line)
    ]


def test_no_paths_of_a_machine_and_no_registries():
    found = {
        str(path.relative_to(ROOT)): lines
        for path in WRITTEN
        if (lines := forbidden_lines(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "cd /wo" + "rk/somewhere",
        "see '/ho" + "me/someone/x'",
        "pip install torch --inde" + "x-url=x",
        "https://py" + "pi.org/project/x",
        "# TO" + "DO: later",
    ],
)
def test_forbidden_text_is_found(line: str):
    assert forbidden_lines("fine\n" + line) == [f"2: {line}"]


@pytest.mark.parametrize("line", ["frame/work/of", "a path like docs/home/x", "./root/x"])
def test_ordinary_text_is_not(line: str):
    assert forbidden_lines(line) == []


# ------------------------------------------------------------ packaging


def test_every_direct_dependency_is_pinned_to_one_version():
    optional = PROJECT["optional-dependencies"]
    texts = [*PROJECT["dependencies"], *(text for extra in optional.values() for text in extra)]
    direct = {Requirement(text).name for text in texts if not text.startswith("cello[")}
    peers = requirements("requirements-bench.txt")  # of the extra "bench", which dev leaves out
    assert {pin.name for pin in peers} == {Requirement(text).name for text in optional["bench"]}
    assert {pin.name for pin in PINS} == direct - {pin.name for pin in peers}
    pins = [*PINS, *peers, *requirements("requirements-docs.txt")]
    assert [str(pin) for pin in pins if not re.fullmatch(r"==[\w.]+", str(pin.specifier))] == []


@pytest.mark.parametrize("pin", PINS, ids=lambda pin: pin.name)
def test_pins_are_what_is_installed_and_allowed(pin: Requirement):
    installed = importlib.metadata.version(pin.name)
    assert pin.specifier.contains(installed, prereleases=True)
    optional = PROJECT["optional-dependencies"].values()
    for texts in (PROJECT["dependencies"], *optional):
        for text in texts:
            allowed = Requirement(text)
            if allowed.name == pin.name:
                assert allowed.specifier.contains(installed, prereleases=True)


def test_the_wheel_holds_all_files_of_the_package(tmp_path: Path):
    (built,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(built) as wheel:
        names = set(wheel.namelist())
    inside = {
        str(path.relative_to(ROOT / "src"))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "cello/py.typed" in inside
    assert inside <= names
    assert {name.partition("/")[0] for name in names - inside} == {
        f"cello-{cello.__version__}.dist-info"
    }
