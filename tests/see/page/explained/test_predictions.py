"""What the net says at each step, by name, and the whole net as the first picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import cello
from cello.errors import ArgumentError
from cello.see.page.live.session import Session
from tests.see.page.nets import TEXT, recorded

LETTERS = "ab\nba"
KINDS = ("the a", "the b", "end of line")
RIGHT = ["the a", "the b", "end of line", "the b", "none of these"]


@pytest.fixture(scope="module")
def spelling() -> cello.Recording:
    torch.manual_seed(0)
    net = cello.Stack(nn.Embedding(3, 2), cello.LSTM(2, 2, bidirectional=True), nn.Linear(4, 3))
    with torch.no_grad():
        return cello.record(net, torch.tensor([[0], [1], [2], [1], [0]]))


def test_labels_name_every_number_of_the_output(spelling: cello.Recording, tmp_path: Path):
    path = tmp_path / "page.html"
    with pytest.raises(ArgumentError, match="got 2, and it gives 3 numbers"):
        spelling.to_html(path, LETTERS, labels=KINDS[:2])
    with pytest.raises(ArgumentError, match="give labels too"):
        spelling.to_html(path, LETTERS, expected=RIGHT)
    with pytest.raises(ArgumentError, match="sequence 0 must be 5, one for each step, got 4"):
        spelling.to_html(path, LETTERS, labels=KINDS, expected=RIGHT[:4])
    alone = cello.record(cello.Recurrent(cello.GRUCell(2, 3)), torch.zeros(4, 1, 2))
    with pytest.raises(ArgumentError, match="no output of its own"):
        Session([alone], labels=KINDS)
    assert not path.exists()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_the_answer_at_a_step(spelling: cello.Recording, watched: Callable, tmp_path: Path):
    path = tmp_path / "page.html"
    page = watched(spelling.to_html(path, LETTERS, labels=KINDS, expected=RIGHT))
    chances = spelling.output[:, 0].softmax(-1)
    said = chances.argmax(-1).tolist()
    for t, right in enumerate(RIGHT):
        page.call(f"e.go({t})")
        page.until(f"document.querySelector('.prediction .what').textContent.endsWith('step {t}')")
        first = page.text(".prediction .answer")
        assert first.startswith(f"{KINDS[said[t]]} {100 * chances[t].max():.1f}")
        verdict = page.text(".prediction .right, .prediction span.wrong")
        if KINDS[said[t]] == right:
            assert verdict == "✓ right"
        else:
            assert verdict == ("✗ wrong" if right not in KINDS else f"✗ right is {right}")
    wrong = page.page.eval_on_selector_all(
        ".token.wrong", "all => all.map(one => Number(one.dataset.t))"
    )
    assert wrong == [t for t, right in enumerate(RIGHT) if KINDS[said[t]] != right] != []
    assert "which of 3 it is: the a, the b, end of line." in page.text(".about")
    assert page.page.locator(".shares select option").all_text_contents() == list(KINDS)
    page.call("e.language()")
    page.until("document.querySelector('.prediction').textContent.includes('网络在第 4 步给出')")
    page.shot()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_a_single_number_decides_between_two_labels(watched: Callable, tmp_path: Path):
    net = cello.Stack(cello.Recurrent(cello.ElmanCell(1, 2)), nn.Linear(2, 1))
    with torch.no_grad():
        rec = cello.record(net, torch.randn(4, 1, 1, generator=torch.Generator().manual_seed(3)))
        chance = rec.output[:, 0, 0].sigmoid()
    page = watched(rec.to_html(tmp_path / "page.html", "abcd", labels=["out", "in"]))
    for t, inside in enumerate(chance.tolist()):
        page.call(f"e.go({t})")
        page.until(f"document.querySelector('.prediction .what').textContent.endsWith('step {t}')")
        name = "in" if inside > 0.5 else "out"
        assert page.text(".prediction .answer") == f"{name} {100 * max(inside, 1 - inside):.1f} %"


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_the_whole_net_is_shown_and_its_layers_are_chosen_there(
    spelling: cello.Recording, watched: Callable, tmp_path: Path
):
    page = watched(spelling.to_html(tmp_path / "page.html", LETTERS, labels=KINDS))
    boxes = page.page.locator(".chain b").all_text_contents()
    assert boxes == ["input", "Embedding", "LSTM", "LSTM", "Linear", "output"]
    page.page.locator('.chain [data-control="layer 1.0.backward"]').click()
    page.until("document.querySelector('.detail h2').textContent.includes('1.0.backward')")
    pressed = page.page.locator('.chain [aria-pressed="true"]')
    assert pressed.count() == 1
    assert "read from the end" in pressed.text_content()
    page.page.locator(".chain button").last.click()  # what comes out
    page.until("document.querySelector('.caption').textContent.startsWith('output[')")
    assert page.barriers() == []


def test_a_recording_from_a_file_knows_its_layers_only(spelling: cello.Recording, tmp_path: Path):
    spelling.save(tmp_path / "rec.safetensors")
    head = Session([cello.load_recording(tmp_path / "rec.safetensors")]).head
    found = [track["layer"] for level in head["net"] for track in level["tracks"]]
    assert found == ["1.0.forward", "1.0.backward"]


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_an_answer_for_the_whole_sequence(watched: Callable, tmp_path: Path):
    torch.manual_seed(0)
    net = cello.Stack(nn.Embedding(3, 2), cello.GRU(2, 3), cello.LastStep(), nn.Linear(3, 3))
    ids = torch.tensor([[0, 1], [1, 2], [2, 0]])
    with torch.no_grad():
        rec = cello.record(net, ids, lengths=torch.tensor([3, 2]))
    path, texts = tmp_path / "page.html", ["abc", "bc"]
    with pytest.raises(ArgumentError, match="must be 1, one for the whole of it, got 3"):
        rec.to_html(path, texts, labels=KINDS, expected=[KINDS, ["the a"]])
    chances = rec.output.softmax(-1)
    said = [KINDS[row.argmax()] for row in chances]
    right = [[said[0]], ["none of these"]]
    page = watched(rec.to_html(path, texts, labels=KINDS, expected=right))
    for number, (row, verdict) in enumerate(zip(chances, ["✓ right", "✗ wrong"], strict=True)):
        page.call(f"return e.sequence({number})")
        found = "document.querySelector('.prediction .right, .prediction span.wrong')"
        page.until(f"{found}?.textContent == '{verdict}'")
        assert page.text(".prediction .what") == "the net says, at the end"
        assert page.text(".prediction .answer") == f"{said[number]} {100 * row.max():.1f} %"
    assert "says at the end which of 3 it is" in page.text(".about")
    assert page.text(".chain li:last-child") == "output\n3 numbers\nonce, at the end"
    page.until("document.querySelector('.whatif textarea')")
    page.page.locator(".whatif textarea").fill("ca")
    with torch.no_grad():
        other = net(torch.tensor([[2], [0]]))[0].softmax(-1)[0]
    answer = f"{KINDS[other.argmax()]} {100 * other.max():.1f} %"
    page.until(f"document.querySelector('.prediction .answer').textContent == '{answer}'")
    assert page.barriers() == []


def test_what_is_right_stands_as_bands_below_the_curve(watched: Callable, tmp_path: Path):
    right = ["low"] * 10 + ["high"] * 10 + ["neither"] * 9 + ["low"] * 10
    path = recorded("bidirectional").to_html(
        tmp_path / "page.html", TEXT, labels=["low", "high"], expected=right
    )
    page = watched(path)
    pixel = """const ratio = devicePixelRatio, at = picture(e.scene.curve).getImageData(
        ratio * STEP * s.zoom, ratio * 121, 1, 1).data; return Array.from(at)"""
    seen = [page.call(pixel.replace("STEP", str(t + 0.5))) for t in (9, 19, 25, 38)]
    assert seen[0] == seen[3] != seen[1]
    assert seen[1][3] == 255
    assert seen[2] == [0, 0, 0, 0]  # of another name there is no band
    assert "The bands below the curve" in page.text(".about")
    assert page.barriers() == []
    page.press("d")
    assert page.call(pixel.replace("STEP", "9.5")) != seen[0]
    page.shot()
    plain = watched(recorded("bidirectional").to_html(tmp_path / "plain.html", TEXT))
    assert plain.page.evaluate("explorer.scene.labels") is None
