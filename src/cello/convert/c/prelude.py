"""Of the C that lies in files, the definitions that a text needs."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["needed"]

_ENGINE = "cello.engines.cpu.c"
#: Where definitions are taken from; of two of one name the first counts.
_FILES = {
    "own": [(__package__, "scalar.c"), (_ENGINE, "prelude_vectors.c"), (_ENGINE, "prelude_math.c")],
    "libm": [
        (__package__, "scalar.c"),
        (__package__, "libm.c"),
        (_ENGINE, "prelude_vectors.c"),
        (_ENGINE, "prelude_math.c"),
    ],
}
_NAMES = re.compile(
    r"#define (\w+)|^LANES\w*\((\w+)|^typedef \w+ (\w+);|^} (\w+);|^(?:INLINE|static) \w+ (\w+)\(",
    re.MULTILINE,
)


def needed(text: str, *, math: str, double: bool) -> str:
    """The definitions that `text` needs, and those that these need, in order.

    Args:
        text: C.
        math: "own" for functions that need no library, "libm" for those of the C library.
        double: of float64.

    >>> print(needed("y = v_max(a, b);", math="own", double=False).splitlines()[-1])
    INLINE vec v_max(vec a, vec b) { return select((mask)(a > b) | is_nan(a), a, b); }
    """
    chunks, maker = _definitions(math, double)
    todo, found = [text], set[int]()
    while todo:
        for word in set(re.findall(r"\w+", _without_comments(todo.pop()))):
            number = maker.get(word)
            if number is not None and number not in found:
                found.add(number)
                todo.append(chunks[number])
    return "\n\n".join(chunks[number] for number in sorted(found))


@cache
def _definitions(math: str, double: bool) -> tuple[list[str], dict[str, int]]:
    """The definitions in order, and which of them makes each name."""
    chunks: list[str] = []
    maker: dict[str, int] = {}
    for package, name in _FILES[math]:
        text = files(package).joinpath(name).read_text(encoding="utf-8")
        text = _CHOICE.sub(lambda found: found[3 if double or found[1] else 4] or "", text)
        for chunk in _chunks(text):
            for names in _NAMES.findall(chunk):
                maker.setdefault(next(filter(None, names)), len(chunks))
            chunks.append(chunk)
    return chunks, maker


#: What depends on the number type; nothing is fused.
_CHOICE = re.compile(
    r"^#if CELLO_DOUBLE( \|\| !FUSES)?\n((.*?)(?:^#else\n(.*?))?)^#endif\n", re.M | re.DOTALL
)


def _chunks(text: str) -> list[str]:
    """Paragraphs; of one without conditions each function by itself, with the comment before it."""
    found: list[list[str]] = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        whole = any(line.startswith("#if") for line in lines)
        found.append([])
        for line in lines:
            begins = line.startswith(("INLINE ", "LANES", "/* "))
            if begins and not whole and _without_comments("\n".join(found[-1])).strip():
                found.append([])
            found[-1].append(line)
    return ["\n".join(lines) for lines in found]


def _without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
