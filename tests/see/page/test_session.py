from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import cello
from cello.errors import ArgumentError, DtypeError, ModelError, UnknownNameError
from cello.see.page.live.session import LiveSession, Session

LETTERS = "abcdefgh"


def read(text: str) -> list[tuple[str, torch.Tensor]]:
    ids = torch.tensor([LETTERS.index(letter) for letter in text], dtype=torch.long)
    return [(text, torch.nn.functional.one_hot(ids, 8).float().unsqueeze(1))]


@pytest.fixture
def net() -> cello.Recurrent:
    return cello.Recurrent(cello.LSTMCell(8, 3))


def block(session: Session, head: dict, name: str, sequence: int = 0) -> np.ndarray:
    (layer,) = [part for part in head["sequences"][sequence]["layers"] if part["cell"]]
    (value,) = [value for value in layer["values"] if value["name"] == name]
    data = session.numbers(head["run"], value["block"])
    return np.frombuffer(data, head["blocks"][value["block"]]["dtype"]).reshape(-1, value["size"])


def test_numbers_are_those_of_a_recording_of_the_text(net: cello.Recurrent):
    session = LiveSession(net, read, "abc")
    for text, head in (("abc", session.head), ("hgfab", session.ask("read", {"text": "hgfab"}))):
        rec = cello.record(net, read(text)[0][1])
        for name in rec.names:
            assert np.array_equal(block(session, head, name), rec[name][:, 0].detach().numpy())


def test_arithmetic_is_that_of_explain(net: cello.Recurrent):
    session = LiveSession(net, read, "abc")
    told = session.ask("explain", {"run": 0, "sequence": 0, "layer": "", "t": 2, "unit": 1})
    with torch.no_grad():
        rec = cello.record(net, read("abc")[0][1])
    assert [line for _, line in told["lines"]] == str(rec.explain(2, 1)).splitlines()


def test_a_forced_value_is_set_and_followed(net: cello.Recurrent):
    session = LiveSession(net, read, "abcdef")
    head = session.ask(
        "force",
        {"text": "abcdef", "sequence": 0, "name": "f", "begin": 2, "end": 3, "unit": 1, "value": 0},
    )
    plain, forced = (block(session, head, "f", number) for number in (0, 1))
    assert (forced[2:4, 1] == 0).all()
    assert np.array_equal(plain[:2], forced[:2])
    assert not np.array_equal(plain[4:], forced[4:])
    assert head["sequences"][1]["title"] == "f[1] = 0, 2–3"
    whole = session.ask(
        "force",
        {"text": "ab", "sequence": 0, "name": "i", "begin": 0, "end": 1, "unit": None, "value": 0},
    )
    assert not block(session, whole, "c", 1).any()


def test_shares_of_an_output_are_those_of_attribute(net: cello.Recurrent):
    session = LiveSession(net, read, "abcdef")
    about = {"run": session.head["run"], "sequence": 0, "t": 3, "unit": 1}
    shares = session.ask("shares", about)["shares"]
    expected = cello.attribute(
        net, read("abcdef")[0][1], (3, 1), method="gradient_x_input"
    ).by_step[:, 0]
    assert shares == pytest.approx(expected.tolist())
    assert not any(shares[4:])
    assert all(shares[:4])
    with pytest.raises(ArgumentError, match=r"^the output has 6 steps and 3 units, counted from 0"):
        session.ask("shares", about | {"unit": 3})


def test_what_was_forced_has_no_shares(net: cello.Recurrent):
    session = LiveSession(net, read, "abcdef")
    about = {"text": "abcdef", "sequence": 0, "name": "f", "begin": 2, "end": 3, "unit": 1}
    head = session.ask("force", about | {"value": 0})
    place = {"run": head["run"], "t": 3, "unit": 1}
    assert len(session.ask("shares", place | {"sequence": 0})["shares"]) == 6
    with pytest.raises(ModelError, match=r"^the net gives another output than was recorded"):
        session.ask("shares", place | {"sequence": 1})


def test_runs_are_forgotten_in_time(net: cello.Recurrent):
    session = LiveSession(net, read, "abc")
    for _ in range(4):
        session.ask("read", {"text": "ab"})
    with pytest.raises(ArgumentError, match=r"^run=0 is not kept any more$"):
        session.numbers(0, 0)
    with pytest.raises(ArgumentError, match=r"^block=99 is none of"):
        session.numbers(4, 99)


def test_an_empty_text(net: cello.Recurrent):
    head = LiveSession(net, read, "").head
    assert head["sequences"][0]["layers"][0]["length"] == 0


def test_long_texts_are_cut_and_it_is_said(net: cello.Recurrent):
    session = LiveSession(net, read, "ab" * 12_000)
    assert session.head["sequences"][0]["layers"][0]["length"] == 20_000
    assert session.head["notice"] == [100, 20_000]


def test_wrong_questions_are_errors(net: cello.Recurrent):
    session = LiveSession(net, read, "abc")
    with pytest.raises(
        ArgumentError, match=r"^question must be one of explain, shares, read, force$"
    ):
        session.ask("delete", {})
    with pytest.raises(ArgumentError, match=r"^read is asked in a wrong way: "):
        session.ask("read", {"txt": "a"})
    about = {"text": "ab", "sequence": 0, "name": "q", "begin": 0, "end": 1, "unit": 0, "value": 0}
    with pytest.raises(UnknownNameError, match=r"^nothing is named 'q'"):
        session.ask("force", about)
    with pytest.raises(ArgumentError, match=r"^sequence=3 is none of 1$"):
        session.ask("force", about | {"sequence": 3})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"begin": 4, "end": 2}, r"^from step 4 to step 2: expected two of the steps 0 to 5, the"),
        ({"begin": 0, "end": 6}, r"^from step 0 to step 6: expected two of the steps 0 to 5, the"),
        ({"begin": -1, "end": 2}, r"^from step -1 to step 2: expected"),
        ({"value": float("nan")}, r"^the value must be a finite number, got nan$"),
        ({"value": float("inf")}, r"^the value must be a finite number, got inf$"),
        ({"unit": 3}, r"^unit of 'f' is counted from 0, got 3"),
    ],
    ids=str,
)
def test_what_would_change_nothing_is_an_error(
    changes: dict[str, Any], problem: str, net: cello.Recurrent
):
    session = LiveSession(net, read, "abcdef")
    about = {"text": "abcdef", "sequence": 0, "name": "f", "begin": 2, "end": 3, "unit": 1}
    with pytest.raises(ArgumentError, match=problem):
        session.ask("force", about | {"value": 0.0} | changes)


@pytest.mark.parametrize("wrong", [[], {}, "1", True, None, 1.5], ids=str)
def test_what_is_of_another_type_is_an_error(wrong: Any, net: cello.Recurrent):
    session = LiveSession(net, read, "abcdef")
    place = {"run": session.head["run"], "sequence": 0, "layer": "", "t": 1, "unit": 0}
    for name in place:
        if not isinstance(wrong, str if name == "layer" else int) or wrong is True:
            with pytest.raises(DtypeError, match=f"^{name} must be (int|str), got "):
                session.ask("explain", place | {name: wrong})
