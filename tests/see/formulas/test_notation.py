# ruff: noqa: E501 (a case on a line)
from __future__ import annotations

import pytest

from cello.see.formulas.notation import (
    Choice,
    Compare,
    Expression,
    FunctionCall,
    MatrixProduct,
    Minus,
    More,
    Number,
    Part,
    Power,
    Product,
    Quotient,
    Root,
    Sum,
    Symbol,
    Transposed,
)
from cello.see.formulas.styles import Latex, Style

a, b, c, W = Symbol("a"), Symbol("b"), Symbol("c"), Symbol("W")
minus_two = Number(-2.0)


@pytest.mark.parametrize(
    ("node", "text", "latex"),
    [
        (Sum((a, minus_two, Minus(b))), "a − 2 − b", "a - 2 - b"),
        (Sum((Minus(a), b)), "−a + b", "-a + b"),
        (Sum((a, Minus(Sum((b, c))))), "a − (b + c)", r"a - \left(b + c\right)"),
        (Sum((a, More(3))), "a + … + 3 more terms", r"a + \dots + \text{3 more terms}"),
        (Sum((a, More(1))), "a + … + 1 more term", r"a + \dots + \text{1 more term}"),
        (Minus(Minus(a)), "−(−a)", r"-\left(-a\right)"),
        (Product((a, b)), "a ⊙ b", r"a \odot b"),
        (Product((Number(0.5), a, b)), "0.5·a ⊙ b", r"0.5 \cdot a \odot b"),
        (Product((a, minus_two)), "a·(−2)", r"a \cdot \left(-2\right)"),
        (Product((minus_two, a)), "−2·a", r"-2 \cdot a"),
        (Sum((b, Product((minus_two, a)))), "b − 2·a", r"b - 2 \cdot a"),
        (Product((Sum((a, b)), c)), "(a + b) ⊙ c", r"\left(a + b\right) \odot c"),
        (Product((Quotient(a, b), c)), "(a / b) ⊙ c", r"\frac{a}{b} \odot c"),
        (Product((MatrixProduct(W, a), c)), "(W a) ⊙ c", r"\left(W\,a\right) \odot c"),
        (MatrixProduct(W, MatrixProduct(W, a)), "W (W a)", r"W\,\left(W\,a\right)"),
        (MatrixProduct(Transposed(W), Sum((a, b))), "Wᵀ (a + b)", r"W^{\top}\,\left(a + b\right)"),
        (Quotient(Sum((a, b)), Product((a, b))), "(a + b) / (a ⊙ b)", r"\frac{a + b}{a \odot b}"),
        (Quotient(minus_two, a), "−2 / a", r"-\frac{2}{a}"),
        (Sum((a, Quotient(Minus(b), c))), "a − b / c", r"a - \frac{b}{c}"),
        (Power(a, Number(2)), "a²", "a^{2}"),
        (Power(minus_two, Number(3)), "(−2)^3", r"\left(-2\right)^{3}"),
        (Power(Number(2), Sum((a, b))), "2^(a + b)", "2^{a + b}"),
        (Root(Sum((a, b))), "√(a + b)", r"\sqrt{a + b}"),
        (FunctionCall("sigmoid", (a,)), "σ(a)", r"\sigma\left(a\right)"),
        (FunctionCall("hard_tanh", (a, minus_two)), "hard_tanh(a, −2)", r"\mathrm{hard\_tanh}\left(a, -2\right)"),
        (FunctionCall("abs", (a,)), "|a|", r"\left|a\right|"),
        (Part(a, 3), "a[3]", "a[3]"),
        (Part(Sum((a, b)), 0, 2), "(a + b)[0:2]", r"\left(a + b\right)[0:2]"),
        (Compare("<=", a, Sum((b, c))), "a ≤ b + c", r"a \le b + c"),
        (
            Sum((Choice(Compare(">", a, Number(0)), a, Minus(b)), c)),
            "(a if a > 0 else −b) + c",
            r"\left(\begin{cases} a & \text{if } a > 0 \\ -b & \text{otherwise} \end{cases}\right) + c",
        ),
        (Number(4.5e-05), "4.5e-5", r"4.5 \cdot 10^{-5}"),
        (Number(1e-5), "1e-5", "10^{-5}"),
        (Product((a, Number(4.5e-05))), "a·4.5e-5", r"a \cdot \left(4.5 \cdot 10^{-5}\right)"),
        (Symbol("h_prev"), "h_prev", r"h_{\mathrm{prev}}"),
        (Symbol("z_i"), "z_i", "z_{i}"),
        (Symbol("A.bias"), "A.bias", r"A_{\mathrm{bias}}"),
        (Symbol("weight_ih_f"), "weight_ih_f", r"\mathrm{weight}_{\mathrm{ih},f}"),
    ],
)  # fmt: skip
def test_how_formulas_are_written(node: Expression, text: str, latex: str):
    assert node.write(Style()) == text
    assert node.write(Latex()) == latex


def test_numbers_are_multiplied_with_a_dot():
    formula = Product((Quotient(Number(1), Number(3)), Root(Number(2))))
    assert formula.write(Style(numbers=True)) == "(1 / 3)·√(2)"
    assert formula.write(Style()) == "(1 / 3) ⊙ √(2)"
