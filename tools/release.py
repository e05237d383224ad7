"""Make a release: all but the upload. Run by `make release VERSION=0.2.0`.

Writes the version into the package and CITATION.cff, turns the changelog's *Unreleased* into a
section of that version, builds, checks and tries the packages (tools/packages.py), then commits and
tags. If anything fails, the files are as they were, and nothing is committed.
"""

import datetime
import re
import subprocess
import sys

import packages
from packaging.version import InvalidVersion, Version
from pythons import ROOT

VERSION = ROOT / "src" / "cello" / "_version.py"
CITATION = ROOT / "CITATION.cff"
CHANGELOG = ROOT / "CHANGELOG.md"


def version_in(text):
    """The version that the package's file names.

    >>> version_in('__version__ = "0.1.0"')
    '0.1.0'
    """
    return re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)[1]


def section(changelog, name):
    r"""What stands in a section of the changelog, "" if there is none.

    >>> section("## [Unreleased]\n\n- a\n\n## [0.1.0] - 2026-01-01\n\n- b\n", "Unreleased")
    '- a'
    """
    head = rf"^## \[{re.escape(name)}\][^\n]*\n(.*?)(?=^## \[|\Z)"
    found = re.search(head, changelog, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def refusals(version, now, changelog, status, tags):
    """Why a release must not be made; nothing if it may.

    Args:
        version: of the release.
        now: the version in the package's file.
        changelog: its text.
        status: what `git status --porcelain` prints.
        tags: the names of the tags that there are.
    """
    why = []
    try:
        asked = Version(version)
    except InvalidVersion:
        why.append(f"{version!r} is no version; write make release VERSION=0.2.0 or the like")
    else:
        released = any(tag.startswith("v") for tag in tags)
        if str(asked) != version:
            why.append(f"write the version {version!r} as {asked}")
        # The first release may be of the version that the package has had all along.
        if asked < Version(now) or (asked == Version(now) and released):
            why.append(f"the version must rise: it is {now}, {version} was asked for")
    if f"v{version}" in tags:
        why.append(f"there is a tag v{version} already")
    if section(changelog, version):
        why.append(f"CHANGELOG.md has a section {version} already")
    if not re.search(r"^- ", section(changelog, "Unreleased"), re.MULTILINE):
        why.append("CHANGELOG.md says nothing under Unreleased")
    if status.strip():
        why.append(f"there is work that is not committed:\n{status.rstrip()}")
    return why


def changed(texts, version, day):
    """The three files as they stand in a release.

    Args:
        texts: by path, as they are.
        version: of the release.
        day: its date, such as "2026-01-31".
    """
    citation = re.sub(r"^date-released: .*\n", "", texts[CITATION], flags=re.MULTILINE)
    return {
        VERSION: re.sub(r'(?m)^__version__ = ".+"$', f'__version__ = "{version}"', texts[VERSION]),
        CITATION: re.sub(
            r"(?m)^version: .+$", f"version: {version}\ndate-released: {day}", citation
        ),
        CHANGELOG: texts[CHANGELOG].replace(
            "## [Unreleased]\n", f"## [Unreleased]\n\n## [{version}] - {day}\n", 1
        ),
    }


def git(*words):
    """What git prints."""
    done = subprocess.run(
        ["git", *words], cwd=ROOT, check=True, capture_output=True, encoding="utf-8"
    )
    return done.stdout


def main(version):
    """Make the release."""
    texts = {path: path.read_text(encoding="utf-8") for path in (VERSION, CITATION, CHANGELOG)}
    why = refusals(
        version,
        version_in(texts[VERSION]),
        texts[CHANGELOG],
        git("status", "--porcelain"),
        git("tag").split(),
    )
    if why:
        sys.exit("\n".join(f"error: {reason}" for reason in why))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    new = changed(texts, version, today)
    try:
        for path, text in new.items():
            path.write_text(text, encoding="utf-8")
        if packages.main():
            sys.exit("error: the packages do not work; the release is not made")
        git("commit", "--quiet", "--all", "--message", f"Version {version}")
    except BaseException:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        raise
    notes = f"{version}\n\n{section(new[CHANGELOG], version)}\n"
    git("tag", "--annotate", f"v{version}", "--cleanup=whitespace", "--message", notes)
    print(f"Version {version} is committed and tagged v{version}. Now look at dist/, then:")
    print("  git push --follow-tags && .venv/bin/python -m twine upload dist/*")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "")
    except packages.PackageFault as fault:
        sys.exit(f"error: {fault}")
