"""The explorer as one file that works offline."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from cello import files
from cello.errors import ArgumentError, ModelError
from cello.see.page.arithmetic import add_lines, arithmetic
from cello.see.page.bundle import script, style
from cello.see.page.data import PageData, page_data, place_of, places_of
from cello.see.page.encode import encode
from cello.see.page.exercises.answered import add_exercises
from cello.see.page.exercises.exercise import Exercise
from cello.see.page.labels import Verdicts, add_labels, add_stated
from cello.see.page.running.given import add_running
from cello.see.page.series import Outlook, add_series
from cello.see.page.shares import add_shares
from cello.see.page.worded import Worded, check_worded, in_english
from cello.see.recording.recorded import Recorded

__all__ = ["document", "to_html"]

#: Numbers that take more bytes than this are kept in half precision.
_EXACT = 4_000_000

_PRECISIONS = (None, "float16", "float32", "float64")


def to_html(
    recordings: Sequence[Recorded],
    path: str | os.PathLike[str],
    tokens: Sequence[Sequence[str] | None] | None = None,
    *,
    title: Worded = "",
    description: Worded = "",
    titles: Sequence[str] | None = None,
    names: str | Iterable[str] | None = None,
    labels: Sequence[str] | None = None,
    expected: Sequence[Sequence[str] | None] | None = None,
    forecast: Outlook | Sequence[Outlook | None] | None = None,
    begin: tuple[str, int] | tuple[str, int, int] | None = None,
    precision: str | None = None,
    arithmetic_steps: int = 200,
    shares: int | None = None,
    exercises: Sequence[Exercise] = (),
    stated: Sequence[Verdicts] = (),
) -> Path:
    """Write a page of one or more recordings of the same net; see `Recording.to_html`.

    With `exercises` to be solved on it, and with what is `stated` of the numbers of each sequence.

    Raises:
        ArgumentError: tokens, titles, labels, expected or exercises do not fit, or there is no such
            unit or precision.
        UnknownNameError: no value has one of the names.
        ModelError: the file cannot be written.
    """
    if precision not in _PRECISIONS:
        known = ", ".join(map(repr, _PRECISIONS))
        raise ArgumentError(f"precision must be one of {known}, got {precision!r}")
    check_worded("title", title)
    check_worded("description", description)
    path = Path(path)
    data = page_data(recordings, tokens, title=title, titles=titles, names=names)
    data.head["description"] = description
    add_labels(recordings, data, labels, expected)
    if forecast is not None:
        add_series(recordings, data, [forecast] if isinstance(forecast, Outlook) else forecast)
    if stated:
        add_stated(recordings, data, stated)
    if begin is not None:
        data.head["begin"] = place_of(recordings[0], *begin)
    size = sum(block.take().nbytes for block in data.blocks)
    if precision is None and size > _EXACT:
        precision = "float16"
    add_shares(recordings, data, shares)
    add_lines(recordings, data, limit=max(_EXACT, size // 20))
    data.head["arithmetic"] = arithmetic(places_of(recordings), data, arithmetic_steps)
    steps = add_running(recordings, data)
    add_exercises(recordings, data, exercises)
    text = document(
        in_english(title) or path.stem, "offline", *_coded(data, precision), steps=steps
    )
    try:
        files.replace(path, text.encode())
    except OSError as error:
        raise ModelError(f"cannot write the page {path}: {error}") from error
    return path


def _coded(data: PageData, precision: str | None) -> tuple[str, str]:
    """The head, as JSON in a `<script>`, and the blocks in attributes, which are read fastest.

    States come first: the page begins with them while the rest is still being read.
    """
    coded: dict[int, dict[str, Any]] = {}
    texts: list[str] = []
    for number in sorted(range(len(data.blocks)), key=_first(data)):
        block = data.blocks[number]
        coded[number], text = encode(block.take(), None if block.exact else precision)
        texts.append(f'<data hidden id="block-{number}" value="{text}"></data>\n')
    head = data.head | {"blocks": [coded[number] for number in range(len(coded))]}
    return (
        f'<script type="application/json" id="head">{json_in_html(head)}</script>\n',
        "".join(texts),
    )


def _first(data: PageData) -> Callable[[int], tuple[bool, bool]]:
    states = {
        value["block"]
        for sequence in data.head["sequences"]
        for layer in sequence["layers"]
        for value in layer["values"]
        if value["kind"] == "state"
    }
    return lambda number: (number not in states, not data.blocks[number].exact)


def json_in_html(value: Any) -> str:
    r"""JSON that cannot end the element that it stands in, nor begin a comment.

    >>> json_in_html("</script><!--")
    '"\\u003c/script>\\u003c!--"'
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def document(
    title: str,
    entry: str,
    before: str = "",
    after: str = "",
    *,
    connect: str = "'none'",
    steps: str = "[]",
) -> str:
    """A page: our script and our style, and a policy that lets nothing else run or load.

    Args:
        title: in the window's bar.
        entry: the module of the front end that starts it.
        before: elements before the script.
        after: and after it.
        connect: what the page may speak to.
        steps: of the net, in JavaScript; see `cello.see.page.running`.
    """
    code = f'(() => {{\n"use strict";\nconst NET_STEPS = {steps};\n{script(entry)}\n}})();'
    policy = (
        f"default-src 'none'; script-src '{_sha256(code)}'; style-src 'unsafe-inline'; "
        f"img-src data: blob:; worker-src blob:; connect-src {connect}; base-uri 'none'; "
        "form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>{style()}</style>
</head>
<body>
<div id="cello"></div>
{before}<script>{code}</script>
{after}</body>
</html>
"""


def _sha256(code: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
