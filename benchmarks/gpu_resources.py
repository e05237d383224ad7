"""What the loops of every cell would take of a card, found out without one, as a table.

    python -m benchmarks.gpu_resources
    python -m benchmarks.gpu_resources --cells LSTMCell GRUCell --sizes 32 64 --targets 80 gfx942

Each cell is compiled for each card in a process of its own, for a compiler may end its process.
Exit code 1: a function spills more than a few registers, takes more shared memory than the card
has, or has products without tensor cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

SIZES, TARGETS = (16, 32, 64, 128), ("80", "90")
#: Bytes of shared memory that a program may have: of an A100, an H100, an RTX 5090, an MI300X.
SHARED = {"80": 163 * 1024, "90": 227 * 1024, "120": 99 * 1024, "gfx942": 64 * 1024}
COLUMNS = ("cell", "size", "target", "loop", "way", "function")
TAKEN = ("registers", "spilled", "shared", "products")


def measured(name: str, sizes: Iterable[int], target: str) -> Iterable[dict[str, Any]]:
    """What each function of a cell's loops takes; a reason where the engine refuses the cell."""
    import torch

    from benchmarks.bench_zoo import cells
    from cello.engines.gpu.card import H100
    from cello.engines.gpu.engine import gpu_plan
    from cello.errors import CaptureError
    from cello.program import program_of

    card = H100._replace(shared=SHARED[target])
    for size in sizes:
        cell = cells()[name](size).eval()
        try:
            plan = gpu_plan(program_of(cell, torch.float32, torch.device("cpu")), cell.feedback)
            reason = plan.too_large()
        except CaptureError as error:
            reason = str(error)
        if reason is not None:
            yield {"cell": name, "size": size, "target": target, "refused": reason}
            continue
        needed = frozenset(value.name for value in plan.shared)
        every = plan.backward(names=(), seen=(), x=True, needed=needed)
        for loop in (plan.forward(save=True), every):
            for function, way, taken, multiplies in taken_by(loop.library, target, card):
                what = (name, size, target, loop.kernel.name, way, function)
                row = dict(zip(COLUMNS, what, strict=True))
                yield row | taken._asdict() | {"multiplies": multiplies}


def taken_by(library: Any, target: str, card: Any) -> Iterator[tuple[str, str, Any, bool]]:
    """Each function of the way that a card would take, by the plan that spills least."""
    from cello.engines.gpu.card import why_not_whole
    from cello.engines.gpu.offline import Taken, compile_offline
    from cello.engines.gpu.whole import SPILLED, plans

    amd = target.startswith("gfx")
    kind = target if amd else int(target)
    whole, loop = library.whole, library.stepwise
    found: dict[str, Taken] = {}
    words, least = "step by step", SPILLED + 1
    if why_not_whole(whole.text, library.stepwise.text, 16, card) is None:
        for options in plans(amd=amd):
            made = compile_offline(whole, kind, options=options, everything=True)
            spilled = max(taken.spilled for taken in made.values())
            if spilled < least and max(taken.shared for taken in made.values()) <= card.shared:
                ahead = "" if options["num_stages"] > 1 else ", nothing ahead"
                words, loop, found, least = f"one kernel{ahead}", whole, made, spilled
            if not least:
                break
    if not found:
        found = compile_offline(loop, kind, everything=True)
    for function, taken in found.items():
        text = loop.text.source.partition(f"def {function}(")[2].partition("@triton")[0]
        yield function, words, taken, "tl.dot" in text


def apart(name: str, sizes: Iterable[int], target: str) -> list[dict[str, Any]]:
    """The same in a process of its own."""
    words = ["--one", "--cells", name, "--targets", target, "--sizes", *map(str, sizes)]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.gpu_resources", *words],
        env={**os.environ, "TRITON_INTERPRET": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        found.append({"cell": name, "target": target, "failed": said[-1]})
    return found


def fault(row: dict[str, Any]) -> str | None:
    """What is wrong with a function; None if nothing is."""
    from cello.engines.gpu.whole import SPILLED

    if "failed" in row:
        return str(row["failed"])
    if "refused" in row:
        return None
    if row["spilled"] > SPILLED:
        return f"{row['spilled']} bytes of each thread are spilled"
    if row["shared"] > SHARED[row["target"]]:
        return f"{row['shared']:,} bytes of shared memory, the card has {SHARED[row['target']]:,}"
    if row["multiplies"] and not row["products"]:
        return "its products run without tensor cores"
    return None


def table(rows: list[dict[str, Any]]) -> str:
    """Of each loop the most that a function takes, in Markdown: a line for a cell and size."""
    lines: dict[tuple[Any, ...], dict[str, str]] = {}  # by loop
    for row in rows:
        key = (row["cell"], row.get("size"), row["target"])
        if "refused" in row or "failed" in row:
            lines[key] = {"": str(row.get("refused") or row["failed"])}
            continue
        same = [r for r in rows if all(r.get(c) == row[c] for c in COLUMNS[:4])]
        most = [max(r[word] for r in same) for word in TAKEN[:3]]
        cell = f"{row['way']}: {most[0]}, {most[2] / 1024:.0f} KB"
        cell += f", {most[1]} spilled" if most[1] else ""
        lines.setdefault(key, {})[row["loop"]] = cell
    head = "| cell | units | card | forward | backward |\n|---|---|---|---|---|"
    body = (f"| {' | '.join(map(str, (*key, *cells.values())))} |" for key, cells in lines.items())
    return "\n".join([head, *body])


def main() -> None:
    """Compile, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cells", nargs="+", metavar="NAME", help="of bench_zoo; all of them")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="units of a cell")
    parser.add_argument("--targets", nargs="+", default=TARGETS, choices=SHARED, help="the cards")
    parser.add_argument("--json", metavar="FILE", help="every function, a line each")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        for row in measured(given.cells[0], given.sizes, given.targets[0]):
            print(json.dumps(row), flush=True)
        return
    from benchmarks.bench_zoo import cells

    rows: list[dict[str, Any]] = []
    for name in given.cells or cells():
        for target in given.targets:
            print(f"{name}, {target}", file=sys.stderr, flush=True)
            new = apart(name, given.sizes, target)
            rows += new
            if given.json:
                with open(given.json, "a", encoding="utf-8") as file:
                    file.writelines(json.dumps(row) + "\n" for row in new)
    print(table(rows))
    faults = [(row, found) for row in rows if (found := fault(row)) is not None]
    for row, found in faults:
        print(*(row[c] for c in COLUMNS if c in row), found, sep=", ", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
