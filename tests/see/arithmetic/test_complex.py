"""Complex numbers inside of a step are shown; as inputs and states they are refused plainly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import cello
from cello.errors import ArgumentError, CellError, DtypeError, EngineError
from cello.see.numbers import short


class Turning(cello.Cell):
    """Turns a complex number by an angle, as unitary networks do; its state is its two parts."""

    state = ("re", "im")

    def __init__(self, *, complex_output: bool = False) -> None:
        super().__init__(3, 4)
        self.complex_output = complex_output
        self.phase = nn.Parameter(torch.linspace(-1, 1, 4))
        self.W, self.V = nn.Linear(3, 4), nn.Linear(3, 4)

    def step(self, x: Tensor, re: Tensor, im: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        z = torch.complex(re, im) * torch.exp(1j * self.phase)
        z = (0.5 - 0.25j) * z + torch.complex(self.W(x), self.V(x))
        m = z.abs()
        re, im = z.real, z.imag
        return (z if self.complex_output else m), (re, im)


def turned(cell: Turning, x: Tensor) -> Tensor:
    z = torch.zeros(x.shape[1], 4, dtype=torch.complex64)
    made = []
    for x_t in x:
        z = (0.5 - 0.25j) * z * torch.exp(1j * cell.phase) + torch.complex(cell.W(x_t), cell.V(x_t))
        made.append(z)
    return torch.stack(made)


@pytest.mark.filterwarnings("ignore:Turning.step cannot be fused:cello.EngineWarning")
@pytest.mark.parametrize("complex_output", [False, True])
def test_complex_numbers_inside_of_a_step(complex_output: bool, tmp_path: Path) -> None:
    layer, x = cello.Recurrent(Turning(complex_output=complex_output)), torch.randn(5, 2, 3)
    z = turned(layer.cell, x)
    expected = torch.autograd.grad(z.abs().sum(), list(layer.parameters()))
    for engine in ("reference", "split", "auto"):
        with cello.engine(engine):
            recording = cello.record(layer, x)
            y, state = layer(x)
        torch.testing.assert_close(recording["z"], z)
        torch.testing.assert_close(y, z if complex_output else z.abs())
        torch.testing.assert_close(torch.complex(state.re, state.im), z[-1])
        found = torch.autograd.grad(y.abs().sum(), list(layer.parameters()))
        for mine, its in zip(found, expected, strict=True):
            torch.testing.assert_close(mine, its)
    said = r"complex numbers do not fuse.*test_complex.py"
    with cello.engine("cpu"), pytest.raises(EngineError, match=said):
        layer(x)

    number = z[1, 0, 2].item()
    assert short(number) in recording.table(names="z", units=[2], steps=[1])
    lines = str(recording.explain(t=1, unit=2)).splitlines()
    assert lines[0].startswith("z[2] = (0.5 − 0.25i)·complex(")
    sign, size = "+" if number.imag > 0 else "−", short(abs(number.imag))
    assert lines[0].endswith(f" {short(number.real)} {sign} {size}i".replace("-", "−"))
    assert lines[-2].startswith("re[2] = Re(")
    assert lines[-2].endswith(f" = {short(number.real)}".replace("-", "−"))
    assert r"\left(0.5 - 0.25i\right)" in recording.explain(t=1, unit=2).latex()
    assert "re = Re(z)\nim = Im(z)" in cello.equations(layer)
    assert "exp(i·phase)" in cello.equations(layer)
    svg = cello.draw(layer.cell, recording=recording, t=1, unit=2).svg
    assert short(number).replace("-", "−") in svg
    assert cello.draw(layer, unrolled=2, recording=recording, t=1).svg.startswith("<svg")
    recording.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert '"z.real"' in page
    assert '"z.imag"' in page
    recording.save(tmp_path / "recording")
    assert torch.equal(cello.load_recording(tmp_path / "recording")["z"], recording["z"])
    assert recording.to_xarray("z")["z"].dtype == "complex64"
    with pytest.raises(ArgumentError, match="z is complex, and a plot shows real numbers"):
        recording.plot("z")
    assert recording.plot("re") is not None
    assert cello.diagnose(layer, x).memories[""].states == ("re", "im")
    with pytest.raises(DtypeError, match="loss must return a real number"):
        cello.flow(layer, x, lambda _: (layer(x)[0] * 1j).sum())


@pytest.mark.filterwarnings("ignore:OfComplex.step cannot be fused:cello.EngineWarning")
def test_complex_inputs_are_refused() -> None:
    x = torch.randn(5, 2, 3, dtype=torch.complex64)

    class OfComplex(cello.Cell):
        state = ("h",)

        def __init__(self) -> None:
            super().__init__(3, 4)
            self.W = nn.Linear(3, 4, dtype=torch.complex64)

        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            h = self.W(x.to(torch.complex64)).real + h
            return h, (h,)

    layer = cello.Recurrent(OfComplex())
    assert layer(x.real)[0].dtype == torch.float32
    both = cello.Bidirectional(OfComplex())
    for refused in (
        lambda: layer(x),
        lambda: both(x),
        lambda: cello.Recurrent(Turning())(x),
        lambda: cello.record(layer, x),
        lambda: layer.stream(batch_size=2)(x[0]),
        lambda: layer.cell(x[0]),
    ):
        with pytest.raises(DtypeError, match=r"x must be real, got torch.complex64: .*parts"):
            refused()
    with pytest.raises(DtypeError, match=r"input must be real, got torch\.complex64"):
        cello.GRU(3, 4)(x)


def test_complex_states_are_refused() -> None:
    class Kept(cello.Cell):
        state = ("h",)

        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            h = 1j * h + x
            return h.real, (h,)

    with pytest.raises(CellError, match=r"the state h as torch.complex64; a state is real"):
        cello.Recurrent(Kept(3, 3))(torch.randn(5, 2, 3))
    with pytest.raises(DtypeError, match=r"state.h must be real, got torch.complex64"):
        cello.Recurrent(cello.GRUCell(3, 4))(torch.randn(5, 2, 3), torch.zeros(2, 4) * 1j)


def test_whole_numbers_are_no_input() -> None:
    class Sum(cello.Cell):  # has no parameters, which would tell a dtype
        state = ("h",)

        def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, tuple[Tensor]]:
            h = h + x
            return h, (h,)

    with pytest.raises(DtypeError, match=r"parameters, torch.float32, got torch.int64"):
        cello.Recurrent(Sum(3, 3))(torch.zeros(5, 2, 3, dtype=torch.int64))
