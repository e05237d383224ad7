"""Packages and releases: what is refused, what is written, and that nothing is left half done."""

from __future__ import annotations

import doctest
import importlib
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A cell.\n"


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("packages")


@pytest.fixture
def release(packages: ModuleType) -> ModuleType:
    return importlib.import_module("release")


def test_what_the_docstrings_show(packages: ModuleType, release: ModuleType):
    for module in (packages, release):
        tried = doctest.testmod(module)
        assert tried.attempted
        assert not tried.failed


# ------------------------------------------------------------ packages


def test_both_archives_are_whole_and_the_same_again(packages: ModuleType, tmp_path: Path):
    packages.check(*packages.build(tmp_path))


TRACKED = [
    *("src/cello/__init__.py", "src/cello/see/font.woff2"),
    *("tests/test_it.py", "tools/run.py", ".ci/run"),
]
ABOUT = [
    f"cello-1.dist-info/{name}"
    for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
]


def test_what_a_wheel_lacks_and_has_too_much(packages: ModuleType):
    whole = ["cello/__init__.py", "cello/see/font.woff2", *ABOUT]
    assert packages.faults_of_wheel(whole, TRACKED) == []
    assert packages.faults_of_wheel([*whole[1:-1], "tests/test_it.py"], TRACKED) == [
        "the wheel lacks cello/__init__.py",
        "the wheel should not hold tests/test_it.py",
        "the wheel's description lacks licenses/LICENSE",
    ]


def test_what_a_source_archive_lacks_and_has_too_much(packages: ModuleType):
    whole = [f"cello-1/{name}" for name in (*TRACKED[:-1], "PKG-INFO")]
    assert packages.faults_of_sdist(whole, TRACKED) == []
    assert packages.faults_of_sdist([*whole[1:], "cello-1/.ci/run"], TRACKED) == [
        "the source archive lacks src/cello/__init__.py",
        "the source archive should not hold .ci/run",
    ]


def test_a_tool_that_fails_says_all_that_it_said(packages: ModuleType):
    with pytest.raises(packages.PackageFault, match=r"ended with 3:\nout\nerr$"):
        packages.run(["sh", "-c", "echo out; echo err >&2; exit 3"])


# ------------------------------------------------------------ decisions


@pytest.mark.parametrize(
    ("version", "changes", "reason"),
    [
        ("", {}, "'' is no version; write make release VERSION=0.2.0"),
        ("v0.2", {}, "write the version 'v0.2' as 0.2"),
        ("0.1.0", {"tags": ["v0.0.9"]}, "the version must rise: it is 0.1.0, 0.1.0 was asked for"),
        ("0.0.9", {"tags": []}, "the version must rise: it is 0.1.0, 0.0.9 was asked for"),
        ("0.10.0", {"tags": ["v0.1.0", "v0.10.0"]}, "there is a tag v0.10.0 already"),
        ("0.2.0", {"changelog": CHANGELOG + "\n## [0.2.0] - x\n\n- b\n"}, "has a section 0.2.0"),
        ("0.2.0", {"changelog": "## [Unreleased]\n\n### Added\n"}, "says nothing under Unreleased"),
        ("0.2.0", {"status": " M README.md\n"}, "work that is not committed:\n M README.md"),
    ],
)
def test_what_is_refused(release: ModuleType, version: str, changes: dict, reason: str):
    given = {"now": "0.1.0", "changelog": CHANGELOG, "status": "", "tags": ["v0.1.0"]} | changes
    (why,) = release.refusals(version, **given)
    assert reason in why


@pytest.mark.parametrize(
    ("version", "tags"), [("0.2.0", ["v0.1.0"]), ("0.10.0rc1", ["v0.1.0"]), ("0.1.0", ["other"])]
)
def test_what_may_be_released(release: ModuleType, version: str, tags: list[str]):
    assert release.refusals(version, "0.1.0", CHANGELOG, "", tags) == []


# ------------------------------------------------------------ the whole way


class Repository:
    """A small repository in which releases are made; its packages are what a test says."""

    def __init__(
        self, root: Path, module: ModuleType, packages: ModuleType, patch: pytest.MonkeyPatch
    ) -> None:
        self.root, self.module = root, module
        self.files = {root / name: text for name, text in TEXTS.items()}
        for path, text in self.files.items():
            path.write_text(text)
        paths = zip(("VERSION", "CITATION", "CHANGELOG"), self.files, strict=True)
        for name, path in [("ROOT", root), *paths]:
            patch.setattr(module, name, path)
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "A Tester")
            patch.setenv(f"GIT_{who}_EMAIL", "tester@example.org")
        self.seen: dict[Path, str] = {}
        self.outcome: int | BaseException = 0
        patch.setattr(packages, "main", self.build)
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "First")

    def build(self) -> int:
        self.seen = self.texts()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def texts(self) -> dict[Path, str]:
        return {path: path.read_text() for path in self.files}

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=self.root, check=True, capture_output=True, text=True
        )
        return done.stdout


TEXTS = {
    "_version.py": '"""The version."""\n\n__version__ = "0.1.0"\n',
    "CITATION.cff": "title: Cello\nversion: 0.1.0\ndate-released: 2001-01-01\nlicense: x\n",
    "CHANGELOG.md": CHANGELOG,
}


@pytest.fixture
def repository(
    tmp_path: Path, release: ModuleType, packages: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> Repository:
    return Repository(tmp_path, release, packages, monkeypatch)


def test_a_release_is_written_built_committed_and_tagged(repository: Repository, capsys):
    repository.module.main("0.2.0")
    version, citation, changelog = repository.texts().values()
    assert version == '"""The version."""\n\n__version__ = "0.2.0"\n'
    day = changelog.partition("## [0.2.0] - ")[2][:10]
    assert citation == f"title: Cello\nversion: 0.2.0\ndate-released: {day}\nlicense: x\n"
    assert changelog == CHANGELOG.replace("\n### ", f"\n## [0.2.0] - {day}\n\n### ")
    assert repository.seen == repository.texts()
    assert repository.git("status", "--porcelain") == ""
    assert repository.git("log", "--format=%s %D").startswith("Version 0.2.0 HEAD -> ")
    assert "- A cell." in repository.git("tag", "-n9", "--list", "v0.2.0")
    assert "twine upload" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"must rise(.|\n)*a tag v0.2.0(.|\n)*nothing under"):
        repository.module.main("0.2.0")


@pytest.mark.parametrize("outcome", [1, KeyboardInterrupt()], ids=["fails", "is stopped"])
def test_a_release_that_fails_leaves_nothing_behind(repository: Repository, outcome):
    repository.outcome = outcome
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        repository.module.main("0.2.0")
    assert repository.seen != repository.texts() == repository.files
    assert repository.git("status", "--porcelain") + repository.git("tag") == ""


def test_work_that_is_not_committed_is_refused_before_anything_is_done(repository: Repository):
    (repository.root / "new.py").write_text("")
    with pytest.raises(SystemExit, match=r"error: there is work that is not committed:\n\?\? new"):
        repository.module.main("0.2.0")
    assert repository.seen == {}
