"""How high each block stands: above all that it takes values from."""

from __future__ import annotations

from cello.see.draw.diagram import Block, Diagram

__all__ = ["ranks_of"]


def ranks_of(diagram: Diagram) -> dict[Block, int]:
    """The layer of each block, from 0 below."""
    ranks: dict[Block, int] = {}
    for block in _sorted(diagram):
        inputs = [] if block.kind == "memory" else block.inputs
        ranks[block] = max((ranks[b] + 1 for b in inputs), default=0)
    readers = {b: [r for r in diagram.readers(b) if r.kind != "memory"] for b in diagram.blocks}
    top = max(ranks.values())
    for block in diagram.blocks:
        if block.kind == "output":
            ranks[block] = top
    for _ in range(3):
        for block in reversed(_sorted(diagram)):
            _settle(block, ranks, readers)
    # All blocks may have moved together: the lowest layer is 0 again.
    lowest = min(ranks.values())
    return {block: rank - lowest for block, rank in ranks.items()}


def _sorted(diagram: Diagram) -> list[Block]:
    """Each block after those that it takes values from; a memory begins."""
    done: dict[Block, None] = {}

    def visit(block: Block) -> None:
        if block in done:
            return
        if block.kind != "memory":
            for other in block.inputs:
                visit(other)
        done[block] = None

    for block in diagram.blocks:
        visit(block)
    return list(done)


def _settle(block: Block, ranks: dict[Block, int], readers: dict[Block, list[Block]]) -> None:
    """Move a block to where the wires at it are shortest; a memory just below what reads it."""
    above = [ranks[reader] for reader in readers[block]]
    if block.kind in ("input", "output") or not above:
        return
    if block.kind == "memory" or not block.inputs:
        ranks[block] = min(above) - 1
        return
    lowest = max(ranks[b] for b in block.inputs) + 1

    def length(rank: int) -> int:
        rises = 0
        for source in set(block.inputs):
            others = [ranks[r] for r in readers[source] if r is not block]
            rises += max(0, rank - max(others, default=ranks[source]))
        return rises + max(above) - rank

    # Of equal places the highest: a gate stands beside what it drives.
    ranks[block] = min(range(min(above) - 1, lowest - 1, -1), key=length, default=ranks[block])
