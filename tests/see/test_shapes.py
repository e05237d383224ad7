"""Memories and inputs of every shape, in every view of a recording."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import cello
from tests.cells import strangers, test_shapes
from tests.registry import SHAPED, make, x_of
from tests.see.draw.drawings import collisions

pytestmark = pytest.mark.usefixtures("step_by_step")

NAMES = (*SHAPED, "inner-gru", "dict-state", "word")


def made(name: str) -> tuple[cello.Recurrent, Any]:
    """A layer and what it takes, T = 5 steps of B = 3 sequences."""
    if name == "word":  # whole numbers, and a context that is the same at all steps
        return cello.Recurrent(test_shapes.Clinical().double()), test_shapes.clinical_input()
    cell = strangers.Nested().double() if name == "dict-state" else make(name)
    layer = cello.Recurrent(cell)
    return layer, x_of(layer.cell, 5, 3)


@cache
def recorded(name: str) -> tuple[cello.Recurrent, cello.Recording]:
    layer, x = made(name)
    return layer, cello.record(layer, x)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_gives_them_back(name: str, tmp_path: Path):
    layer, recording = recorded(name)
    recording.save(tmp_path / "run.safetensors")
    again = cello.load_recording(tmp_path / "run.safetensors", layer)
    assert again.names == recording.names
    for value in recording.names:
        assert torch.equal(again[value], recording[value])
    assert str(again.explain(t=1)) == str(recording.explain(t=1))


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_its_arithmetic(name: str):
    """Of the first and the last unit of every value that the step makes, in both forms."""
    _, recording = recorded(name)
    given = {"x", *(n for n in recording.names if n.startswith("x_") or n.endswith("_prev"))}
    for value in set(recording.names) - given:
        rows = recording[value][2, 1].flatten().tolist()
        for unit, number in {0: rows[0], len(rows) - 1: rows[-1]}.items():
            explained = recording.explain(t=2, unit=unit, batch=1, names=value)
            (line,) = explained.lines
            assert (line.name, line.value) == (value, number)
            assert "aten" not in str(explained)
            assert explained.latex().startswith("\\begin{aligned}")


@pytest.mark.parametrize("name", NAMES)
def test_a_table_has_a_column_for_every_unit(name: str):
    _, recording = recorded(name)
    for value in recording.names:
        units = recording[value][0, 0].numel()
        *_, last = recording.table(names=[value], batch=2, digits=4).splitlines()
        assert len(last.split()) == 1 + units


@pytest.mark.parametrize("name", NAMES)
def test_a_plot_has_a_line_of_the_heat_map_for_every_unit(name: str):
    matplotlib = pytest.importorskip("matplotlib", reason="of the extra cello[draw]")
    from matplotlib import pyplot

    matplotlib.use("agg")
    layer, recording = recorded(name)
    for value in layer.cell.state:
        (image,) = recording.plot(value, batch=1).get_images()
        shown = torch.from_numpy(image.get_array().data)
        assert torch.equal(shown, recording[value][:, 1].flatten(1).detach().T.float())
        pyplot.close("all")


@pytest.mark.parametrize("name", NAMES)
def test_labelled_arrays_keep_the_shape(name: str):
    pytest.importorskip("xarray", reason="of the extra cello[xarray]")
    _, recording = recorded(name)
    data = recording.to_xarray()
    for value in recording.names:
        array = data["value_time" if value == "time" else value]
        assert array.dims[:2] == ("time", "batch")
        assert torch.equal(torch.from_numpy(array.values), recording[value].detach())


@pytest.mark.parametrize("name", NAMES)
def test_a_drawing_has_room_for_their_numbers(name: str):
    layer, recording = recorded(name)
    drawing = cello.draw(layer.cell, recording=recording, t=1, unit=0)
    assert collisions(drawing.svg) == []
    assert collisions(cello.draw(layer, unrolled=2, recording=recording).svg) == []
    assert collisions(cello.draw(layer.cell, parameters=True).svg) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_holds_every_value(name: str, tmp_path: Path):
    _, recording = recorded(name)
    recording.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    for value in recording.names:
        assert f'"{value}"' in page
    assert "aten" not in page


@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_has_the_shape_of_its_value(name: str):
    """And is autograd's where it is that of the input."""
    layer, x = made(name)
    flow = cello.flow(layer, x, lambda y: y.square().sum())
    recording = cello.record(layer, x)
    for value in flow.names:
        assert flow[value].shape == recording[value].shape
        assert flow[value].isfinite().all()
    if name != "word":  # whose parts are recorded side by side
        x.requires_grad_()
        (own,) = torch.autograd.grad(layer(x)[0].square().sum(), [x])
        torch.testing.assert_close(flow["x"], own)
