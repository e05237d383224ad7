"""The equations of a cell, derived from its traced step."""

from __future__ import annotations

from torch import nn

from cello.cells import Cell
from cello.errors import CaptureError
from cello.layers.paths import cells_of, check_net
from cello.program import program_as_is
from cello.see.formulas.styles import Latex, Style
from cello.see.formulas.symbols import Symbols

__all__ = ["equations"]


def equations(net: nn.Module, *, latex: bool = False) -> str:
    """The equations of a cell, a layer or every layer of a net, as its step computes them.

    W x is a matrix applied to a vector, ⊙ multiplies unit by unit, σ is the sigmoid, `h_prev` the
    state before the step. Axes are counted without the batch, and `dim` from the last, as PyTorch
    does: S[1:3, :], mean(S, dim=-1). A parameter that is packed by gate is written gate by gate
    (W_i are the rows of W that drive the gate i). The weight of a module A in the cell is A, its
    bias A.bias. Layers with the same equations share them.

    Args:
        net: a cell, a layer, or any module with layers of ours in it.
        latex: as LaTeX, an `aligned` block for each set of equations.

    Raises:
        DtypeError: not a module.
        ArgumentError: there are no cells in it.
        CaptureError: the step of a lone cell cannot be traced.

    >>> import cello
    >>> print(equations(cello.ElmanCell(3, 2)))
    z = W x + R h_prev + b
    h = tanh(z)
    >>> print(equations(cello.LSTMCell(3, 2, peephole=True)))
    z_i = W_i x + R_i h_prev + p_i ⊙ c_prev + b_i
    z_f = W_f x + R_f h_prev + p_f ⊙ c_prev + b_f
    z = W_g x + R_g h_prev + b_g
    i = σ(z_i)
    f = σ(z_f)
    g = tanh(z)
    c = i ⊙ g + f ⊙ c_prev
    z_o = W_o x + R_o h_prev + p_o ⊙ c + b_o
    o = σ(z_o)
    h = o ⊙ tanh(c)
    """
    if not isinstance(net, (Cell, nn.RNNCellBase)):
        check_net(net)
    cells = cells_of(net)
    style = Latex() if latex else Style()
    if len(cells) == 1:
        return _of_cell(next(iter(cells.values())), style)
    blocks: dict[tuple[str, str], list[str]] = {}
    for name, cell in cells.items():
        try:
            text = _of_cell(cell, style)
        except CaptureError as error:
            text = style.words(f"not known: {error}")
        kind = f"{cell._get_name()}({cell.extra_repr()})"
        blocks.setdefault((kind, text), []).append(name)
    end = " \\\\\n" if latex else "\n"
    return "\n\n".join(
        style.words(f"{', '.join(names)}: {kind}") + end + text
        for (kind, text), names in blocks.items()
    )


def _of_cell(cell: Cell, style: Style) -> str:
    lines = Symbols(program_as_is(cell), cell.gates).lines()
    return style.equations((left.write(style), right.side(style)) for left, right in lines)
