"""Where an output comes from: against gradients by hand, and as the page shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError, ModelError
from cello.see.page.data import page_data
from cello.see.page.shares import Shares, add_shares
from tests.see.page.nets import NETS, LeakyCell, recorded

I = 3  # noqa: E741 - as in nets


def by_hand(net: nn.Module, x: Tensor, t: int, batch: int, unit: int) -> Tensor:
    """Gradient × input of an output, [T, B]."""
    x = x.clone().requires_grad_()
    y, _ = net(x)
    y[t, batch, unit].backward()
    return (x.grad * x.detach()).sum(-1)


@pytest.mark.parametrize("name", NETS)
def test_every_kind_of_net(name: str):
    net = NETS[name]().double()
    x = torch.randn(9, 2, I, dtype=torch.float64)
    shares = Shares(cello.record(net, x))
    for t, batch in ((0, 0), (6, 1)):
        expected = by_hand(net, x, t, batch, 1)[:, batch].numpy()
        assert np.allclose(shares.of(batch, t, 1), expected, rtol=1e-12, atol=1e-15)


class Reads(nn.Module):
    """Ids, batch first, and a readout."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, I)
        self.rnn = cello.LSTM(I, 4, batch_first=True)
        self.readout = nn.Linear(4, 2)

    def forward(self, ids: Tensor, lengths: Tensor | None = None) -> Tensor:
        y, _ = self.rnn(self.embedding(ids), lengths=lengths)
        return self.readout(y)


def test_ids_batch_first_and_lengths():
    net = Reads().double()
    ids = torch.randint(7, (3, 8))
    lengths = torch.tensor([8, 5, 2])
    rec = cello.record(net, ids, lengths=lengths)
    found = Shares(rec).of(1, 4, 1)
    assert len(found) == 5
    x = net.embedding(ids[1:2, :5]).detach().requires_grad_()
    net.readout(net.rnn(x)[0])[0, 4, 1].backward()
    assert np.allclose(found, (x.grad * x.detach()).sum(-1)[0].numpy(), rtol=1e-12, atol=1e-15)


def test_a_cell_runs_as_it_was_recorded_whatever_stands_before_it():
    """A warning, such as of hooks that the user never set, would be an error here."""
    net = cello.Stack(nn.Embedding(9, I), cello.Recurrent(LeakyCell(I, 4))).eval()
    ids = torch.randint(9, (80, 1))  # so many that a compiled loop runs them
    before = cello.record(net, ids)
    x = net[0](ids).detach().requires_grad_()
    net[1](x)[0][79, 0, 2].backward()
    found = Shares(before).of(0, 79, 2)
    assert np.allclose(found, (x.grad * x.detach()).sum(-1)[:, 0].numpy(), rtol=1e-5, atol=1e-7)


def test_without_a_batch():
    net = cello.Recurrent(cello.GRUCell(I, 4)).double()
    x = torch.randn(6, I, dtype=torch.float64)
    expected = by_hand(lambda x: net(x.unsqueeze(1)), x, 5, 0, 2).numpy()
    assert np.allclose(Shares(cello.record(net, x)).of(0, 5, 2), expected, rtol=1e-12)


def test_an_answer_for_the_whole_sequence():
    net = cello.Stack(
        nn.Embedding(9, I), cello.LSTM(I, 4), cello.layers.LastStep(), nn.Linear(4, 2)
    ).double()
    ids = torch.randint(9, (7, 2))
    rec = cello.record(net, ids, lengths=torch.tensor([7, 4]))
    x = net[0](ids[:4, 1:]).detach().requires_grad_()
    net[3](net[1](x)[0][-1])[0, 1].backward()
    expected = (x.grad * x.detach()).sum(-1)[:, 0].numpy()
    assert np.allclose(Shares(rec).of(1, 0, 1), expected, rtol=1e-12, atol=1e-15)
    with pytest.raises(ArgumentError, match=r"^the output has 1 steps and 2 units"):
        Shares(rec).of(1, 1, 0)


def test_what_cannot_be_told_says_why(tmp_path: Path):
    net = cello.Recurrent(cello.GRUCell(I, 4))
    rec = cello.record(net, torch.randn(6, 2, I))
    with pytest.raises(ArgumentError, match=r"^the output has 6 steps and 4 units, counted from 0"):
        Shares(rec).of(1, 6, 0)
    rec.save(tmp_path / "rec.safetensors")
    loaded = cello.load_recording(tmp_path / "rec.safetensors", net)
    with pytest.raises(ModelError, match=r"which the file of a recording does not hold"):
        Shares(loaded)
    with torch.no_grad():
        net.cell.R += 1
    with pytest.raises(ModelError, match=r"^the net gives another output than was recorded"):
        Shares(rec)


def test_a_net_in_training_stays_so():
    net = cello.Recurrent(cello.GRUCell(I, 4))
    Shares(cello.record(net.train(), torch.randn(6, 2, I)))
    assert net.training


def test_inside_of_no_grad_they_are_the_same():
    net = NETS["stacked"]()
    with torch.no_grad():
        rec = cello.record(net, torch.randn(5, 1, I))
        inside = Shares(rec).of(0, 4, 1)
    assert inside.tolist() == Shares(rec).of(0, 4, 1).tolist()
    assert inside.any()


def test_the_last_step_and_those_that_change_most_are_prepared():
    net = cello.Recurrent(cello.ElmanCell(1, 1, activation="linear", bias=False))
    x = torch.tensor([0.0, 0, 5, 0, 0, -3, 0]).reshape(-1, 1, 1)
    with torch.no_grad():
        net.cell.W.fill_(1)
        net.cell.R.fill_(0)
        rec = cello.record(net, x)
    for limit, expected in (
        (0, None),
        (1, [(6, 0)]),
        (3, [(2, 0), (3, 0), (6, 0)]),
        (100, [(t, 0) for t in range(7)]),
    ):
        data = page_data([rec])
        blocks = len(data.blocks)
        add_shares([rec], data, limit)
        (sequence,) = data.head["sequences"]
        assert sequence.get("shares", {}).get("targets") == expected
        assert sequence["outputs"] == (0 if expected is None else 1)
        assert len(data.blocks) == blocks + (expected is not None)


# ------------------------------------------------------------ in a browser


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("name", NETS)
def test_the_page_shows_them(name: str, watched: Callable, tmp_path: Path):
    rec = recorded(name, batch=2)
    page = watched(rec.to_html(tmp_path / "page.html"))
    page.call("e.sequence(1); e.go(7)")
    before = page.state("layer"), page.state("value"), page.state("unit")
    show(page, 1)
    assert page.state("layer") == "shares"
    assert page.state("value") == "output[1], step 7"
    found = page.call("return Array.from(s.shown.data)")
    assert found == Shares(rec).of(1, 7, 1).tolist()
    page.shot()
    page.page.get_by_role("button", name="back", exact=True).click()
    page.settle()
    assert (page.state("layer"), page.state("value"), page.state("unit")) == before


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_the_page_shows_where_an_answer_comes_from(watched: Callable, tmp_path: Path):
    net = cello.Stack(cello.LSTM(I, 4), cello.layers.LastStep(), nn.Linear(4, 2))
    rec = cello.record(net, torch.randn(7, 1, I))
    page = watched(rec.to_html(tmp_path / "page.html", labels=["ham", "spam"]))
    assert "Where the answer at the end comes from" in page.text(".shares")
    page.page.locator(".shares select").select_option("spam")
    page.page.get_by_role("button", name="show", exact=True).click()
    page.until("explorer.state.layer === 'shares'")
    page.settle()
    assert page.state("value") == "output[spam]"
    assert page.call("return Array.from(s.shown.data)") == Shares(rec).of(0, 0, 1).tolist()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_another_sequence_has_none(watched: Callable, tmp_path: Path):
    page = watched(recorded("stacked", batch=2).to_html(tmp_path / "page.html"))
    show(page, 0)
    page.call("e.sequence(1)")
    assert page.state("layer") == "0"
    assert page.state("shown.length") == 39


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_what_is_not_prepared_says_what_is(watched: Callable, tmp_path: Path):
    rec = recorded("elman")
    page = watched(rec.to_html(tmp_path / "page.html", shares=1))
    ((t, unit),) = Shares(rec).asked_first(0, 1)
    page.call(f"e.go({(t + 3) % 30})")
    show(page, unit)
    told = "This file holds it for other steps, the nearest:"
    assert page.text(".shares [role=status]") == f"{told} {t}"


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_of_many_outputs_those_of_the_last_step_are_there(watched: Callable, tmp_path: Path):
    rec = recorded("stacked", 100)
    page = watched(rec.to_html(tmp_path / "page.html", shares=20))
    page.press("End")
    for unit in range(4):
        show(page, unit)
        found = page.call("return Array.from(s.shown.data)")
        assert found == Shares(rec).of(0, 99, unit).tolist()


@pytest.mark.slow
@pytest.mark.xdist_group("browser")
def test_without_any_there_is_nothing_to_ask(watched: Callable, tmp_path: Path):
    page = watched(recorded("elman").to_html(tmp_path / "page.html", shares=0))
    assert not page.page.is_visible(".shares")


def show(page: Any, output: int) -> None:
    page.page.get_by_label("output", exact=True).fill(str(output))
    page.page.get_by_role("button", name="show", exact=True).click()
    page.until("document.querySelector('.shares [role=status]').textContent")
    page.settle()
