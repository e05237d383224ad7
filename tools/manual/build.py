"""Build the manual into site/: `make docs`.

Zensical makes a site of a folder of Markdown and a file of settings. The manual is two of them,
English in site/ and Chinese in site/zh/, so that each has its own navigation and search. Their
folders are laid out in build/manual/ first: NAME.zh-CN.md is NAME.md of the Chinese one, pages that
stand elsewhere in the repository (README, changelog) get a place, the lecture's examples are pages
that run, made by `cello example NAME --html`, and links are made to lead there. In the end each
link is followed, and nothing is loaded from elsewhere.
"""

from __future__ import annotations

import html.parser
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from tests import docs_checker  # noqa: E402
from tools.manual import notebooks  # noqa: E402

DOCS, STAGE, SITE = ROOT / "docs", ROOT / "build" / "manual", ROOT / "site"
ELSEWHERE = {
    "README.md": "overview.md",
    "README.zh-CN.md": "overview.zh-CN.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/NOTES.md": "benchmarks.md",
}
CHINESE = ".zh-CN.md"
#: What the plugin `offline` loads for workers in pages that are files; worker.js does that here.
SHIM = re.compile(r'<script src="https://unpkg\.com/iframe-worker/shim"[^>]*></script>')
LINK = re.compile(r"(\[[^\]]*\]\()([^)\s#:]+)([)#])")
PLAY = re.compile(r"`cello example ([\w-]+) --html [\w.-]+`")
OPEN = {"en": "open it here", "zh": "在此打开"}
LIST = {
    "en": """# The lecture's examples, running

Each is one page that runs its net in your browser. Change a number of the input, click on a gate in
the diagram to shut it, click on a step to see its arithmetic, try the exercises:
[how to read such a page](seeing.md#the-explorer).

""",
    "zh": """# 课程的例子，可以运行

每个例子是一个网页，在浏览器里运行它的网络。改输入的一个数，点框图里的门把它关上，点一步看它的算式，
做一做练习：[怎样读这样的网页](seeing.md#探索网页)。

""",
}


def pages() -> dict[Path, str]:
    """All pages of the repository, each with its name in the manual."""
    found = {path: path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md"))}
    return found | {ROOT / source: name for source, name in ELSEWHERE.items()}


def place(name: str) -> Path:
    """Where a page, or another file of the manual, is laid."""
    if name.endswith(CHINESE):
        return STAGE / "zh" / name.replace(CHINESE, ".md")
    return STAGE / "en" / name


def relinked(source: Path, name: str, names: dict[Path, str], text: str) -> str:
    """The `text` of a page, with its links as they are in the manual."""
    here = place(name)

    def link(match: re.Match[str]) -> str:
        target = (source.parent / match[2]).resolve()
        to = place(names.get(target) or os.path.relpath(target, DOCS))
        if to.suffix != ".md":  # a picture: each language has its own
            to = here.relative_to(STAGE).parts[0] / to.relative_to(STAGE / "en")
            to = STAGE / to
        elif to.relative_to(STAGE).parts[0] != here.relative_to(STAGE).parts[0]:
            return match[1] + in_the_other_language(here, to) + match[3]
        return match[1] + os.path.relpath(to, here.parent) + match[3]

    return LINK.sub(link, text)


def in_the_other_language(here: Path, to: Path) -> str:
    """A link from page to page of the site, where Chinese stands below English."""

    def in_site(path: Path) -> Path:
        language, *rest = path.relative_to(STAGE).with_suffix(".html").parts
        return Path(*(["zh"] if language == "zh" else []), *rest)

    return os.path.relpath(in_site(to), in_site(here).parent)


def lay_out() -> None:
    """Make the two folders anew, with their settings."""
    shutil.rmtree(STAGE, ignore_errors=True)
    names = pages()
    for source, name in names.items():
        path = place(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = relinked(source, name, names, source.read_text("utf-8"))
        if source.stem.startswith("course"):
            text = playable(text, path)
        if source in notebooks.PAGES:
            text = with_notebook(text, source, path)
        path.write_text(text, "utf-8")
    for language in ("en", "zh"):
        shutil.copytree(DOCS / "images", STAGE / language / "images")
        for name in ("manual.css", "worker.js"):
            shutil.copy(HERE / name, STAGE / language)
    for path in [*HERE.glob("*.yml"), HERE / "doctests.py"]:
        shutil.copy(path, STAGE)
    lay_out_examples()


def with_notebook(text: str, source: Path, page: Path) -> str:
    """A page that leads to its notebook, which is made here."""
    folder = STAGE / page.relative_to(STAGE).parts[0] / "notebooks"
    made = notebooks.write(source, folder)
    link = os.path.relpath(made, page.parent)
    title, rest = text.split("\n", 1)
    word = "笔记本：" if source.name.endswith(CHINESE) else "As a notebook: "
    links = f"[Jupyter]({link}) · [marimo]({link.removesuffix('.ipynb')}.py)"
    return f"{title}\n\n{word}{links}\n{rest}"


def playable(text: str, page: Path) -> str:
    """A page whose commands that write running pages lead to these."""
    language = page.relative_to(STAGE).parts[0]

    def link(match: re.Match[str]) -> str:
        return f"[{OPEN[language]}](examples/{match[1]}.html?lang={language}) · {match[0]}"

    return PLAY.sub(link, text)


def lay_out_examples() -> None:
    """Write the lecture's examples as pages, and a list of them in each language."""
    lists = dict(LIST)
    for language in lists:
        (STAGE / language / "examples").mkdir()
    for path in sorted((ROOT / "src" / "cello" / "examples").glob("*.toml")):
        example = tomllib.loads(path.read_text("utf-8"))
        if "run" not in example:  # it counts parameters
            continue
        page = STAGE / "en" / "examples" / f"{path.stem}.html"
        code, printed = docs_checker.run_cello(["example", path.stem, "--html", str(page)])
        if code != 0:
            sys.exit(printed)
        shutil.copy(page, STAGE / "zh" / "examples")
        for language, words in (("en", example), ("zh", example["zh"])):
            lists[language] += f"- [{words['title']}](examples/{page.name}?lang={language})\n"
    for language, text in lists.items():
        (STAGE / language / "examples.md").write_text(text, "utf-8")


# ------------------------------------------------------------ links


class _Page(html.parser.HTMLParser):
    """The links of a page of the site, and what can be linked to on it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.loads: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors.add(given.get("id") or "")
        for name in ("href", "src"):
            if given.get(name) and tag != "base":
                self.links.add(given[name] or "")
                if name == "src" or (tag == "link" and given.get("rel") == "stylesheet"):
                    self.loads.add(given[name] or "")


def broken_links(site: Path) -> list[str]:
    """The links inside of a site that lead nowhere, and what it loads from elsewhere."""
    found = {path: _Page(path) for path in site.rglob("*.html") if path.parent.name != "examples"}
    wrong = []
    for path, page in found.items():
        elsewhere = (load for load in page.loads if re.match(r"https?:|//", load))
        wrong += [f"{path.relative_to(site)} loads {load}" for load in elsewhere]
        for link in page.links:
            if re.match(r"[a-z]+:|//", link) or path.name == "404.html":
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / unquote(name.partition("?")[0])).resolve() if name else path
            target = target / "index.html" if target.is_dir() else target
            known = found[target].anchors if target in found else {""}
            if not target.is_file() or unquote(anchor) not in known | {""}:
                wrong.append(f"{path.relative_to(site)}: {link}")
    return sorted(wrong)


def main() -> None:
    """Build both, and follow each link."""
    lay_out()
    for config in ("en.yml", "zh-CN.yml"):
        command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "-f", config]
        subprocess.run(command, check=True, cwd=STAGE)
    for page in (STAGE / "site").rglob("*.html"):
        page.write_text(SHIM.sub("", page.read_text("utf-8")), "utf-8")
    if wrong := broken_links(STAGE / "site"):
        sys.exit("links that lead nowhere:\n  " + "\n  ".join(wrong))
    shutil.rmtree(SITE, ignore_errors=True)
    shutil.move(STAGE / "site", SITE)
    print("site/index.html")


if __name__ == "__main__":
    main()
