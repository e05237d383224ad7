"""How metrics are printed: a table of the overall ones, and one with a row for each type or tag."""

from __future__ import annotations

from collections.abc import Mapping

import click

from cello.cli.output import print_tables

__all__ = ["print_scores"]


def print_scores(
    splits: Mapping[str, Mapping[str, float]], scheme: str | None, most: int | None = None
) -> None:
    """Print metrics.

    Args:
        splits: the metrics of each split, by its name.
        scheme: how the tags mark spans, if they do.
        most: how many types of spans, or tags, are shown at most, the most frequent first.
    """
    from cello.train.report.score_table import score_table

    every = {name: metrics for name, metrics in splits.items() if metrics}
    if not every:
        return
    head, table, note = score_table(every)
    print_tables(head, table)
    if note:
        click.echo(note)
    if scheme is not None:
        _print_types(every, scheme, most)
    elif most is None:
        _print_tags(every)


def _print_types(every: Mapping[str, Mapping[str, float]], scheme: str, most: int | None) -> None:
    counts: dict[str, float] = {}
    for metrics in every.values():
        for name, count in metrics.items():
            metric, _, kind = name.partition("/")
            if metric == "span_count":
                counts[kind] = counts.get(kind, 0) + count
    types = sorted(counts, key=lambda kind: (-counts[kind], kind))
    shown = types[:most]
    head = [f"{scheme} spans"]
    for split in every:
        head += [f"{split} F1", "of"]
    rows = []
    for kind in shown:
        cells = [kind]
        for metrics in every.values():
            count = int(metrics.get(f"span_count/{kind}", 0))
            cells += [f"{metrics[f'span_f1/{kind}']:.4f}" if count else "", f"{count:,}"]
        rows.append(cells)
    click.echo()
    print_tables(head, rows)
    if len(shown) < len(types):
        click.echo(f"… and {len(types) - len(shown)} more types: cello evaluate MODEL FILE")


def _print_tags(every: Mapping[str, Mapping[str, float]]) -> None:
    prefix = "accuracy/"
    names = {name for metrics in every.values() for name in metrics if name.startswith(prefix)}
    tags = sorted(name.removeprefix(prefix) for name in names)
    rows = [
        [tag, *(f"{m[prefix + tag]:.4f}" if prefix + tag in m else "" for m in every.values())]
        for tag in tags
    ]
    if rows:
        click.echo()
        print_tables(["tag", *(f"{split} accuracy" for split in every)], rows)
