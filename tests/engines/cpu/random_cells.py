"""Random cells: the source of a step that strings supported operations together."""

from __future__ import annotations

import itertools
import linecache
from random import Random

import torch
from torch import nn
from torch.nn import functional as F

import cello

__all__ = ["make_cell", "random_source"]

# Where a function jumps, it does not jump at 0: a value may be 0 but for rounding.
UNARY = """
    -{}; {}.abs(); torch.exp({}.clamp(max=1.5)); torch.expm1({}.clamp(max=1.5))
    torch.log({}.abs() + 0.5); torch.log1p({}.abs()); torch.sqrt({}.abs() + 0.1); {}.square()
    torch.rsqrt({}.square() + 0.3); torch.reciprocal({}.square() + 0.5); 1 / (2 + {}.abs())
    torch.sin({}); torch.cos({}); torch.tanh({}); torch.sigmoid({}); torch.erf({}); {} ** 3
    F.relu({}); F.leaky_relu({}, 0.2); F.elu({}); F.elu({}, 0.7); F.selu({})
    F.gelu({}); F.gelu({}, approximate="tanh"); F.silu({}); F.mish({}); F.softplus({})
    F.softplus({}, 2.0, 1.0); F.softsign({}); F.hardsigmoid({}); F.hardtanh({}); F.hardswish({})
    F.hardtanh({}, -0.5, 1.0); F.logsigmoid({}); F.relu6({}); F.threshold({}, 0.5, -0.2)
    {}.clamp(-1, 1); {}.clamp(min=0.0); {}.clamp(max=0.5); ({}.abs() + 0.1) ** 1.5
    ({}.abs() + 0.2) ** -0.5; ({}.abs() + 0.1) ** 0.5; ({}.square() + 0.5) ** -1; {}.detach()
    torch.pow(1.3, {}); 1 - {}; 0.3 * {} - 0.7; {} / 3; F.dropout({}, 0.4, training=False)
    torch.where({} > 0.3, 1.0, {}); {}.masked_fill({} > 1, 0.25); ({} >= 0.5).to({}.dtype)
    torch.where({} == 0.5, 0.3, 0.1 * {}); {}.clone(); torch.rsub({}, 2.0); torch.sign({} - 0.3)
    F.celu({}, 0.5); F.hardshrink({}, 0.3); F.softshrink({}, 0.4); torch.tan(torch.tanh({}))
    torch.exp2({}.clamp(max=1.5)); torch.sinh({}.clamp(-1.5, 1.5)); torch.cosh({}.clamp(-1.5, 1.5))
    torch.logit(torch.sigmoid({}.clamp(-2, 2)))
"""
BINARY = """
    {a} + {b}; {a} - {b}; {a} * {b}; {a} / ({b}.abs() + 0.5); torch.maximum({a}, {b})
    torch.minimum({a}, {b}); torch.where({a} > {b}, {a}, 0.5 * {b}); torch.lerp({a}, {b}, 0.3)
    torch.where(({a} < 0.5) & ({b} >= 0.3), {a}, {b}); torch.where(~({a} <= {b}), {b}, 0.1)
    torch.where(({a} != 0.5) | ({b} > 1), {a}, {b} * {b}); torch.add({a}, {b}, alpha=0.3)
    torch.sub({a}, {b}, alpha=2); torch.lerp({a}, {b}, torch.sigmoid({b})); {b}.sigmoid() * {a}
    torch.addcmul({a}, {b}, {b}, value=0.5); torch.addcdiv({a}, {b}, {b}.square() + 1)
    torch.clamp({a}, max={b}); torch.clamp({a}, {b} - 1, {b} + 1); {a}.masked_fill({b} > 0.3, 0.7)
    ({a}.abs() + 0.2) ** torch.tanh({b}); torch.logaddexp({a}, {b}); {b}[:, -1:] * {a}
    {b}[:, 0].unsqueeze(1) + {a}; torch.where(({a} > 0.3) ^ ({b} < 0.2), {a}, {b})
"""
NARROW = """
    {}.sum(-1, keepdim=True); {}.mean(1, keepdim=True); {}.amax(-1, keepdim=True)
    {}.amin(1, keepdim=True); {}.max(-1, keepdim=True).values; {}.min(1, keepdim=True)[0]
    {}.var(-1, keepdim=True, unbiased=False); {}.logsumexp(-1, keepdim=True)
    {}.norm(dim=-1, keepdim=True); {}.norm(p=1, dim=-1, keepdim=True)
    {}.sum(-1).unsqueeze(1); {}.square().mean(-1)[:, None]
    ({}.var(1, keepdim=True, unbiased=False) + 0.1).sqrt()
"""
ALONG = """
    F.softmax({}, -1); F.log_softmax({}, -1); {} - {}.mean(-1, keepdim=True)
    {} * torch.rsqrt({}.square().mean(-1, keepdim=True) + 0.1); {} / ({}.abs().sum(1)[:, None] + 1)
"""
# The same numbers under another name, with more axes for a while, or never with them.
ALIASES = """
    {a}; {a}.view({a}.shape[0], {n}); {a}.reshape(-1, {n}); {a}.view_as({a}); {a}.unsqueeze(1)[:, 0]
    {a}[:, None].flatten(1); {a}.unsqueeze(1).squeeze(1); {a}.view(-1, {k}, {m}).flatten(1)
    {a}.unflatten(1, ({k}, -1)).reshape(-1, {n}); {a}.view(-1, 1, {n}).view(-1, {n})
    {a}.view(-1, {m}, {k}).view(-1, {k}, {m}).view({a}.shape[0], -1); {a}.unsqueeze(1).sum(1)
"""
# Outputs of other axes than [B, size], and outputs without a part in the step.
OUTPUTS = """
    {a}; {a}.view(-1, {k}, {m}); {a}.reshape({a}.shape[0], {m}, {k}); {a}.unsqueeze(1); {a}[:, 0]
    {a}.unsqueeze(-1); {a}.unflatten(-1, ({k}, {m})); {a}[:, None, :]; {a}[:, :, None]; {a}.sum(-1)
    {a}.view(-1, {k}, {m}).tanh(); {a}.unsqueeze(1).expand(-1, 2, -1)
    {a}.view(-1, {k}, {m}).unsqueeze(1); {a}.view(-1, {k}, {m}).view(-1, {m}, {k})
    torch.zeros_like({a}); torch.full_like({a}, 0.3); torch.ones({a}.shape[0], 3, dtype={a}.dtype)
    {a}.detach(); {p}.expand({a}.shape[0], -1); {a}.unsqueeze(1).unsqueeze(-1)
"""
SIZES = (1, 2, 3, 4, 5, 8, 9, 17)


def _forms(text: str) -> list[str]:
    return [form.strip() for line in text.splitlines() for form in line.split(";") if form.strip()]


class _Writer:
    """Writes the lines of one step; every value that there is may be read by the next line."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.widths: dict[str, int] = {}
        self.parameters: list[tuple[int, ...]] = []
        self.lines: list[str] = []
        self.serial = itertools.count()

    def new(self, expression: str, width: int) -> str:
        name = f"v{next(self.serial)}"
        self.lines.append(f"{name} = {expression}")
        self.widths[name] = width
        return name

    def parameter(self, *shape: int) -> str:
        self.parameters.append(shape)
        return f"self.p{len(self.parameters) - 1}"

    def any(self) -> str:
        """A value, rather a late one."""
        names = list(self.widths)
        return self.random.choice(names[-6:] if self.random.random() < 0.6 else names)

    def like(self, width: int) -> str:
        """An operand for a value of this width."""
        fits = [name for name, size in self.widths.items() if size in (1, width)]
        kind = self.random.randrange(6)
        if kind == 0:
            return self.parameter(*self.random.choice([(width,), (1, width), (1,), ()]))
        if fits and kind < 5:
            return self.random.choice(fits)
        return self.product(width)

    def product(self, width: int) -> str:
        """A value of this width: the product of another with a matrix."""
        a = self.any()
        size = self.widths[a]
        form = self.random.choice(
            ["linear", "bias", "at", "addmm", "transposed", "rows", "vector"][: 6 + (width == 1)]
        )
        if form == "linear":
            text = f"F.linear({a}, {self.parameter(width, size)})"
        elif form == "bias":
            text = f"F.linear({a}, {self.parameter(width, size)}, {self.parameter(width)})"
        elif form == "at":
            text = f"{a} @ {self.parameter(size, width)}"
        elif form == "addmm":
            text = f"torch.addmm({self.parameter(width)}, {a}, {self.parameter(size, width)})"
        elif form == "transposed":
            text = f"torch.mm({a}, {self.parameter(width, size)}.t())"
        elif form == "rows":  # a part of a parameter
            text = f"{a} @ {self.parameter(size + 1, width)}[1:]"
        else:
            text = f"({a} @ {self.parameter(size)}).unsqueeze(-1)"
        return self.new(text, width)

    def operation(self) -> None:
        kinds = ["unary"] * 5 + ["binary"] * 5 + ["narrow", "along", "product", "product"]
        kinds += ["norm", "chunk", "split", "slice", "cat", "cat", "stack", "expand", "groups"]
        kinds += ["alias"]
        getattr(self, f"_{self.random.choice(kinds)}")()

    def _unary(self) -> None:
        a = self.any()
        form = self.random.choice(_forms(UNARY))
        self.new(form.replace("{}", a), self.widths[a])

    def _binary(self) -> None:
        a = self.any()
        form, width = self.random.choice(_forms(BINARY)), self.widths[a]
        other = self.product(width) if "{b}[" in form else self.like(width)
        self.new(form.format(a=a, b=other), self.widths[a])

    def _narrow(self) -> None:
        self.new(self.random.choice(_forms(NARROW)).format(self.any()), 1)

    def _along(self) -> None:
        a = self.any()
        form = self.random.choice(_forms(ALONG))
        self.new(form.replace("{}", a), self.widths[a])

    def _product(self) -> None:
        self.product(self.random.choice(SIZES))

    def _norm(self) -> None:
        a = self.any()
        size = self.widths[a]
        weight = self.random.choice(["None", self.parameter(size)])
        bias = self.random.choice(["None", self.parameter(size)])
        eps = self.random.choice([1e-5, 0.1])
        form = self.random.choice(
            [f"F.layer_norm({a}, ({size},), {weight}, {bias}, 0.1)"] * 2
            + [f"F.rms_norm({a}, ({size},), {weight}, {eps})"]
        )
        self.new(form, size)

    def _chunk(self) -> None:
        a = self.any()
        count = self.random.choice([2, 3])
        parts = torch.empty(self.widths[a]).chunk(count)
        names = [f"v{next(self.serial)}" for _ in parts]
        self.lines.append(f"{', '.join(names)}, = {a}.chunk({count}, dim=-1)")
        self.widths.update(zip(names, map(len, parts), strict=True))

    def _split(self) -> None:
        a = self.any()
        at = self.random.randint(1, max(1, self.widths[a] - 1))
        sizes = [size for size in (at, self.widths[a] - at) if size]
        names = [f"v{next(self.serial)}" for _ in sizes]
        self.lines.append(f"{', '.join(names)}, = torch.split({a}, {sizes}, dim=1)")
        self.widths.update(zip(names, sizes, strict=True))

    def _slice(self) -> None:
        a = self.any()
        start = self.random.randrange(self.widths[a])
        stop = self.random.randint(start + 1, self.widths[a])
        self.new(f"{a}[:, {start}:{stop}]", stop - start)

    def _cat(self) -> None:
        names = [self.any() for _ in range(self.random.choice([2, 2, 3]))]
        width = sum(self.widths[name] for name in names)
        if width <= 24:
            self.new(f"torch.cat([{', '.join(names)}], dim=1)", width)

    def _stack(self) -> None:
        a = self.any()
        fits = [name for name, size in self.widths.items() if size == self.widths[a]]
        names = [a, *(self.random.choice(fits) for _ in range(self.random.choice([1, 2])))]
        form = self.random.choice(
            [
                ".sum(1)",
                ".mean(1)",
                ".amax(1)",
                "[:, 1]",
                ".tanh().unbind(1)[0]",
                ".softmax(-1).sum(1)",
            ]
        )
        self.new(f"torch.stack([{', '.join(names)}], dim=1){form}", self.widths[a])

    def filled(self, form: str, a: str, **names: str) -> str:
        """A form with a value in it, and with the sizes of two axes that make its features."""
        n = self.widths[a]
        k = self.random.choice([k for k in range(1, n + 1) if n % k == 0])
        return form.format(a=a, n=n, k=k, m=n // k, **names)

    def alias(self, a: str) -> str:
        return self.new(self.filled(self.random.choice(_forms(ALIASES)), a), self.widths[a])

    def _alias(self) -> None:
        self.alias(self.any())

    def output(self, states: list[str]) -> str:
        """What the step returns: a value, or a state, old or new, in any form."""
        a = self.random.choice(["x", *states, *states, self.any(), self.any()])
        if self.random.random() < 0.4:
            return a
        form = self.random.choice(_forms(OUTPUTS))
        return self.filled(form, a, p=self.parameter(3) if "{p}" in form else "")

    def next_state(self, name: str, new: dict[str, str]) -> str:
        """What becomes of a state: as a rule `new`, but any value that does not grow will do."""
        size = self.widths[name]
        given = [n for n in ("x", *new) if self.widths[n] == size]
        others = [n for n in new.values() if self.widths[n] == size]
        kind = self.random.randrange(10)
        if kind < 4:
            return new[name]
        if kind == 4:  # as it was, or what another was, or the input
            return self.random.choice(given)
        if kind == 5:
            return self.random.choice(others)  # perhaps twice the same
        if kind == 6:
            return f"torch.full_like({name}, {self.random.choice([0.0, -0.0, 0.7])})"
        return self.alias(self.random.choice([*given, *others, new[name]]))

    def _expand(self) -> None:
        ones = [name for name, size in self.widths.items() if size == 1]
        if ones:
            size = self.random.choice(SIZES)
            self.new(f"{self.random.choice(ones)}.expand(-1, {size})", size)

    def _groups(self) -> None:
        """Several groups of features, each by itself."""
        a = self.any()
        size = self.widths[a]
        for count in (2, 3, 4):
            if size % count == 0:
                shape = f"({a}.shape[0], {count}, {size // count})"
                form = self.random.choice([".softmax(-1)", ".tanh()", ".sigmoid()"])
                self.new(f"{a}.reshape{shape}{form}.reshape({a}.shape[0], {size})", size)
                return


def random_source(random: Random, most: int = 14) -> str:
    """The Python source of a cell named `RandomCell`."""
    writer = _Writer(random)
    inputs = random.choice(SIZES[:6])
    states = {f"s{i}": random.choice(SIZES) for i in range(random.choice([1, 1, 2, 3]))}
    writer.widths = {"x": inputs, **states}
    for _ in range(random.randint(2, most)):
        writer.operation()
    new = {}
    for name, size in states.items():  # bounded, so that no step blows up
        terms = [writer.product(size), writer.like(size)]
        text = random.choice(["torch.tanh({} + 0.5 * {})", "torch.sigmoid({}) * torch.tanh({})"])
        new[name] = writer.new(text.format(*terms), size)
    output = writer.output([*states, *new.values()])
    results = [writer.next_state(name, new) for name in states]
    if random.random() < 0.3:  # by its own name, so that the old value is called s0_prev
        writer.lines.append(f"s0 = {results[0]}")
        results[0] = "s0"
    first, *others = states
    lines = [
        "class RandomCell(cello.Cell):",
        f"    state = {tuple(states)!r}",
        "",
        "    def __init__(self):",
        f"        super().__init__({inputs}, {states[first]}, "
        f"state_sizes={ {n: states[n] for n in others} })",
    ]
    for number, shape in enumerate(writer.parameters):
        lines.append(f"        self.p{number} = nn.Parameter(0.4 * torch.randn({shape}))")
    lines += ["", f"    def step(self, x, {', '.join(states)}):"]
    lines += [f"        {line}" for line in writer.lines]
    lines += [f"        return {output}, ({', '.join(results)},)", ""]
    return "\n".join(lines)


def make_cell(source: str) -> cello.Cell:
    """The cell of a source."""
    name = f"<random cell {hash(source):x}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space: dict = {"cello": cello, "torch": torch, "nn": nn, "F": F, "__name__": __name__}
    exec(compile(source, name, "exec"), space)
    torch.manual_seed(1)
    return space["RandomCell"]().double()
