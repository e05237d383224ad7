"""Everything the page says is there in Chinese, and nothing else."""

from __future__ import annotations

import re
from importlib import resources

from cello.see.draw.step import roles

APP = resources.files("cello.see.page") / "app"
STRING = r'"((?:[^"\\]|\\.)*)"'


def sources() -> str:
    """All modules but the words themselves; strings that are joined are one."""
    texts = [
        part.read_text(encoding="utf-8")
        for part in APP.iterdir()
        if part.name.endswith(".js") and part.name != "words.js"
    ]
    return re.sub(r'"\s*\+\s*"', "", "\n".join(texts))


def chinese() -> dict[str, str]:
    words = (APP / "words.js").read_text(encoding="utf-8")
    return dict(re.findall(rf"{STRING}:\s*{STRING}", words))


def test_what_is_said_has_a_chinese_word():
    text = sources()
    said = set(re.findall(rf"\bsay\(\s*{STRING}", text))
    said |= set(re.findall(rf"\.(?:choice|number|labelled)\(\s*{STRING}", text))
    said |= set(re.findall(rf"\.button\([^,]+, {STRING}", text))
    keys = text[text.index("const KEYS") : text.index("];", text.index("const KEYS"))]
    said |= set(re.findall(rf"{STRING}\]", keys))
    said |= {role.meaning for role in vars(roles).values() if isinstance(role, roles.Role)}
    said |= set(re.findall(rf"notes = \[[^\]]*?{STRING}", text))
    assert len(said) > 50
    assert said - chinese().keys() == set()


def test_every_chinese_word_is_used():
    from_python = "step/roles.py", "net/outline.py"
    text = sources() + "".join(
        resources.files("cello.see.draw").joinpath(name).read_text("utf-8") for name in from_python
    )
    assert [english for english in chinese() if f'"{english}"' not in text] == []


def test_as_many_parts_are_put_into_a_sentence():
    assert [
        text for text, words in chinese().items() if text.count("{}") != words.count("{}")
    ] == []
