"""The tool that builds and tries the packages: nothing that fails is passed over in silence."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest

from tests.docs_checker import ROOT


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    sys.path.insert(0, str(ROOT / "tools"))
    spec = importlib.util.spec_from_file_location("packages", ROOT / "tools" / "packages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(ROOT / "tools"))
    return module


def test_a_build_for_cpus_that_pip_does_not_find_is_said(tool, monkeypatch, capsys):
    monkeypatch.setattr(tool, "CPU_BUILD", "+none")
    pip = [sys.executable, "-m", "pip", "install", "--no-index", "--dry-run"]
    tool.install_torch(pip)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"  without torch=={tool.PINNED['torch']}+none: ERROR: ")
    assert "CUDA" in second


def test_where_there_is_no_build_for_cpus_nothing_is_installed(tool, monkeypatch, capsys):
    monkeypatch.setattr(tool, "CPU_BUILD", "")
    tool.install_torch(["no such program"])
    assert capsys.readouterr().out == ""


def test_what_a_wheel_lacks_or_has_too_much_is_named(tool):
    about = [
        f"cello-1.dist-info/{name}"
        for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    ]
    tracked = ["src/cello/a.py", "tests/b.py"]
    assert tool.faults_of_wheel(["cello/a.py", *about], tracked) == []
    assert tool.faults_of_wheel(["cello/b.py", *about[1:]], tracked) == [
        "the wheel lacks cello/a.py",
        "the wheel should not hold cello/b.py",
        "the wheel's description lacks METADATA",
    ]


def test_what_a_source_archive_lacks_or_has_too_much_is_named(tool):
    tracked = ["src/cello/a.py", *tool.LEFT_OUT]
    assert tool.faults_of_sdist(["cello-1/src/cello/a.py", "cello-1/PKG-INFO"], tracked) == []
    assert tool.faults_of_sdist(["cello-1/.env"], tracked) == [
        "the source archive lacks src/cello/a.py",
        "the source archive should not hold .env",
    ]
