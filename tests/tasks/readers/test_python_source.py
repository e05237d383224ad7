"""Each character's kind, by hand on small texts and against the text itself on large ones."""

import io
import keyword
import tokenize

import pytest

from cello.errors import DataError
from cello.tasks.readers import python_source
from cello.tasks.readers.corpus import standard_library
from cello.tasks.readers.python_source import KINDS, MEMORY_KINDS, character_kinds, kind_ids

LETTERS = {
    "keyword": "k",
    "name": "n",
    "number": "1",
    "string": "s",
    "comment": "#",
    "operator": "o",
    "space": "_",
    "newline": "/",
}


def drawn(text: str) -> str:
    return "".join(LETTERS[kind] for kind in character_kinds(text))


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("", ""),
        ("\n", "/"),
        ("a", "n"),
        ("if x1 >= 0x_ff:\n", "kk_nn_oo_11111o/"),
        ("if 1:\n\tx = None", "kk_1o/_n_o_kkkk"),
        ("1.5e-3+2j", "111111o11"),
        ("x='a\\'#b'#c'd", "nosssssss####"),
        ("'''a\n#b\n''' # c\n", "sssssssssss_###/"),
        ("rb'\\n'", "ssssss"),
        ("a \\\n b", "n__/_n"),
        ("x = 1  # é\r\ny\r\n", "n_o_1__###//n//"),
        ("é = 'ü'", "n_o_sss"),
        ("f'{x!r:>{w}} a' + b", "sssssssssssssss_o_n"),
        ("match x:\n case _: pass", "nnnnn_no/_nnnn_no_kkkk"),
        ("x: int = a@b\n\f\ny", "no_nnn_o_non/_/n"),
        ("print(f'{a}' 'bc')", "nnnnnossssss_sssso"),
    ],
)
def test_by_hand(text: str, kinds: str):
    assert drawn(text) == kinds


def test_memory_kinds_are_kinds():
    assert set(MEMORY_KINDS) < set(KINDS)
    assert set(LETTERS) == set(KINDS)


def test_all_of_the_standard_library_by_the_text_itself():
    """What can be told of a character without a tokenizer must hold of every one."""
    for document in standard_library()[::6]:
        text, kinds = document.text, kind_ids(document.text, document.name)
        assert len(kinds) == len(text)
        for number, kind in enumerate(KINDS):
            these = "".join(c if k == number else "\0" for c, k in zip(text, kinds, strict=True))
            runs = [run for run in these.split("\0") if run]
            if kind == "keyword":
                assert all(keyword.iskeyword(run) for run in runs), document.name
            elif kind == "name":
                assert all(run.isidentifier() and not keyword.iskeyword(run) for run in runs)
            elif kind == "newline":
                assert all(set(run) == {"\n"} for run in runs)
            elif kind == "space":
                assert all(run.strip(" \t\f\\") == "" for run in runs)
            elif kind == "comment":
                assert all(run.startswith("#") and "\n" not in run for run in runs)
            elif kind == "string":
                assert all(run.lower().lstrip("rbuf")[:1] in ("'", '"') for run in runs)
                assert all(run[-1] in "'\"" for run in runs)
            elif kind == "number":
                assert all(run[0].isdigit() or run[0] == "." for run in runs)
            else:
                assert kind == "operator"
                assert all(not c.isalnum() and not c.isspace() for run in runs for c in run)


def test_strings_of_the_standard_library_as_the_tokenizer_has_them():
    for name in ("argparse.py", "tokenize.py"):
        (text,) = [document.text for document in standard_library() if document.name == name]
        ours = sum(kind == KINDS.index("comment") for kind in kind_ids(text))
        theirs = sum(
            len(token.string)
            for token in tokenize.generate_tokens(io.StringIO(text).readline)
            if token.type == tokenize.COMMENT
        )
        assert ours == theirs > 100


def test_formatted_strings_in_pieces_as_from_python_3_12_on(monkeypatch: pytest.MonkeyPatch):
    """There the tokenizer gives the parts of a formatted string one by one, nested ones too."""
    text = "x = f'a{f\"{b}\" + c}' + t'd'"
    names = dict(tokenize.tok_name)
    numbers = {}
    for name in ("FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END", "TSTRING_START", "TSTRING_END"):
        numbers[name] = 1000 + len(numbers)
        names[numbers[name]] = name
    monkeypatch.setattr(tokenize, "tok_name", names)
    pieces = [
        ("NAME", "x"), ("OP", "="), ("FSTRING_START", "f'"), ("FSTRING_MIDDLE", "a"), ("OP", "{"),
        ("FSTRING_START", 'f"'), ("OP", "{"), ("NAME", "b"), ("OP", "}"), ("FSTRING_END", '"'),
        ("OP", "+"), ("NAME", "c"), ("OP", "}"), ("FSTRING_END", "'"), ("OP", "+"),
        ("TSTRING_START", "t'"), ("FSTRING_MIDDLE", "d"), ("TSTRING_END", "'"),
    ]  # fmt: skip
    tokens, at = [], 0
    for name, piece in pieces:
        at = text.index(piece, at)
        kind = numbers.get(name) or getattr(tokenize, name)
        tokens.append(tokenize.TokenInfo(kind, piece, (1, at), (1, at + len(piece)), text))
        at += len(piece)
    monkeypatch.setattr(tokenize, "generate_tokens", lambda readline: iter(tokens))
    assert drawn(text) == "n_o_ssssssssssssssss_o_ssss"
    assert python_source.kind_ids(text).count(KINDS.index("string")) == 20


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = 1\ny = '''abc\n", r"(2|3)"),
        ("if x:\n    a\n  b\n", "3"),
        ("x = 'abc\ny", "1"),
        ("a\nb $ c\n", "2"),
        ("f(\n", r"\d"),
    ],
)
def test_what_is_not_python(text: str, line: str):
    with pytest.raises(DataError, match=rf"^part\.py:{line}: not Python source: \S"):
        kind_ids(text, "part.py")
