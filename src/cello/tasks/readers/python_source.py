"""Each character of a Python source text and its kind, as Python's own tokenizer says."""

from __future__ import annotations

import io
import itertools
import keyword
import tokenize
from collections.abc import Iterable

from cello.errors import DataError

__all__ = ["KINDS", "MEMORY_KINDS", "character_kinds", "kind_ids"]

#: What a character can be. The kinds of `kind_ids` are numbers into this tuple.
KINDS = ("keyword", "name", "number", "string", "comment", "operator", "space", "newline")

#: The kinds that can only be told by remembering what began earlier.
MEMORY_KINDS = ("string", "comment")

_ID = {kind: number for number, kind in enumerate(KINDS)}
_KIND_OF_TOKEN = {
    "NUMBER": "number",
    "STRING": "string",
    "COMMENT": "comment",
    "TYPE_COMMENT": "comment",
    "OP": "operator",
}


def character_kinds(text: str, name: str = "<text>") -> list[str]:
    """The kind of each character of a Python source text.

    As `kind_ids`, but with the kinds as words.

    >>> character_kinds("if x:")
    ['keyword', 'keyword', 'space', 'name', 'operator']
    """
    return [KINDS[number] for number in kind_ids(text, name)]


def kind_ids(text: str, name: str = "<text>") -> bytes:
    """The kind of each character of a Python source text, as numbers into `KINDS`.

    Quotes and prefixes belong to the string. A formatted string is a string from its first quote
    to its last in every version of Python, with all that stands inside its braces. Soft keywords
    (`match`, `case`, `type`, `_`) are names, as the tokenizer says. White space outside strings
    and comments is space, with the backslash that continues a line, and line ends are newlines.

    Args:
        text: Python source, T characters.
        name: what to call the text in an error.

    Returns:
        T bytes.

    Raises:
        DataError: the text is not Python source; names the line.

    >>> [KINDS[number] for number in kind_ids("0#")]
    ['number', 'comment']
    """
    try:
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        return _kinds_from_tokens(text, tokens)
    except tokenize.TokenError as error:
        message, (line, _) = error.args
    except SyntaxError as error:  # IndentationError is one
        message, line = error.msg, error.lineno
    raise DataError(f"{name}:{line}: not Python source: {message}")


def _kinds_from_tokens(text: str, tokens: Iterable[tokenize.TokenInfo]) -> bytes:
    lines = text.split("\n")
    starts = [0, *itertools.accumulate(len(line) + 1 for line in lines)]
    kinds = bytearray([_ID["space"]]) * len(text)
    depth = 0  # inside how many formatted strings: from Python 3.12 on they come in pieces
    begin = 0

    def place(position: tuple[int, int]) -> int:
        return starts[position[0] - 1] + position[1]

    for token in tokens:
        type_name = tokenize.tok_name[token.type]
        if type_name.endswith("STRING_START"):
            if depth == 0:
                begin = place(token.start)
            depth += 1
            continue
        if type_name.endswith("STRING_END"):
            depth -= 1
            kind, start = "string", begin
        elif type_name == "NAME":
            kind = "keyword" if keyword.iskeyword(token.string) else "name"
            start = place(token.start)
        elif type_name == "ERRORTOKEN" and not token.string.isspace():
            raise SyntaxError(
                f"unexpected {token.string!r}", ("", token.start[0], token.start[1] + 1, token.line)
            )
        elif type_name in _KIND_OF_TOKEN:
            kind, start = _KIND_OF_TOKEN[type_name], place(token.start)
        else:
            continue
        if depth == 0:
            end = place(token.end)
            kinds[start:end] = bytes([_ID[kind]]) * (end - start)

    for offset, line in zip(starts[1:], lines[:-1], strict=False):
        end = offset - 1
        for at in (end, end - 1) if line.endswith("\r") else (end,):
            if kinds[at] == _ID["space"]:
                kinds[at] = _ID["newline"]
    return bytes(kinds)
