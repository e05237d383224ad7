"""Prints the results of a data file; `cello example` and `cello run` share it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from cello.cli.example_data.datafile import DataFile, Written
from cello.cli.example_data.formulas import indented
from cello.cli.example_data.report import DIGITS, Column, NetworkReport, RunReport
from cello.cli.language import chinese, said
from cello.cli.output import paragraph, print_json, print_tables

__all__ = ["print_report", "report_as_json"]


def report_as_json(file: DataFile, networks: list[NetworkReport]) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "title": file.title,
        "text": file.text,
        "networks": [
            {
                "title": network.title,
                "equations": network.equations,
                "parameters": network.parameters,
                "stated_parameters": network.stated_parameters,
                "runs": [_run_as_json(run) for run in network.runs],
            }
            for network in networks
        ],
    }


def _run_as_json(run: RunReport) -> dict[str, Any]:
    return {
        "title": run.title,
        "inputs": run.inputs,
        "values": {column.name: column.values for column in run.columns},
        "stated": {c.name: c.stated for c in run.columns if c.stated is not None},
        "agrees": {c.name: c.agreement() for c in run.columns if c.stated is not None},
        "arithmetic": [asdict(step) for step in run.arithmetic],
    }


def print_report(file: DataFile, networks: list[NetworkReport], as_json: bool) -> None:
    """Print everything, for people or for programs."""
    if as_json:
        print_json(report_as_json(file, networks))
        return
    words = {"title": file.title, "text": file.text} | (dict(file.chinese) if chinese() else {})
    if words["title"]:
        click.secho(words["title"], bold=True)
    if words["text"]:
        click.echo(paragraph(words["text"]))
    if not any(network.runs for network in networks) and len(networks) > 1:
        _print_counts(networks)
        return
    for network in networks:
        _print_network(network)


def _print_counts(networks: list[NetworkReport]) -> None:
    """Networks without a run, of which only the parameters are counted, in one table."""
    click.echo()
    rows = [[network.title, _count(network)] for network in networks]
    print_tables([said("network"), said("parameters")], rows)
    for network in networks:
        click.echo(f"\n{network.title}")
        click.echo(network.table)
    _print_verdict(
        [
            network.parameters == network.stated_parameters
            for network in networks
            if network.stated_parameters is not None
        ]
    )


def _count(network: NetworkReport) -> str:
    stated = network.stated_parameters
    verdict = None if stated is None else network.parameters == stated
    return _marked([str(network.parameters)], [stated], [verdict])


def _print_network(network: NetworkReport) -> None:
    if network.title:
        click.secho(f"\n{network.title}", bold=True)
    if network.equations_text:
        click.echo(f"\n{network.equations_text}")
    if network.stated_parameters is not None or not network.runs:
        click.echo(f"\n{said('parameters: {}', _count(network))}\n{network.table}")
    for run in network.runs:
        _print_run(run, several_layers=len(network.equations) > 1)


def _print_run(run: RunReport, several_layers: bool) -> None:
    click.echo()
    if run.title:
        click.secho(run.title, bold=True)
    head = ["t", "x", *(column.name for column in run.columns)]
    cells = [_cells(column) for column in run.columns]
    rows = [
        [str(t), _row(run.inputs[t]), *(column[t] for column in cells)]
        for t in range(len(run.inputs))
    ]
    print_tables(head, rows, fixed=2)
    verdicts = [
        verdict
        for column in run.columns
        for row in column.agreement()
        for verdict in row
        if verdict is not None
    ]
    _print_verdict(verdicts)
    for step in run.arithmetic:
        place = (step.t, step.unit, step.layer) if several_layers else (step.t, step.unit)
        text = "step {}, unit {}, layer {}:" if several_layers else "step {}, unit {}:"
        click.echo(f"\n{said(text, *place)}")
        click.echo(indented(step.text))


def _cells(column: Column) -> list[str]:
    from cello.see.numbers import short

    stated = column.stated or [[None] * len(row) for row in column.values]
    return [
        _marked([short(value, DIGITS) for value in row], said, verdicts)
        for row, said, verdicts in zip(column.values, stated, column.agreement(), strict=True)
    ]


def _row(values: Any) -> str:
    from cello.see.numbers import short

    return " ".join(short(v, DIGITS) for v in (values if isinstance(values, list) else [values]))


def _marked(shown: list[str], stated: list[Any], verdicts: list[bool | None]) -> str:
    """Values with a tick if they are what is stated, else with a cross and what is stated."""
    text = " ".join(shown)
    if all(verdict is None for verdict in verdicts):
        return text
    if all(verdict is not False for verdict in verdicts):
        return f"{text} ✓"
    said = " ".join(
        "·" if s is None else s.text if isinstance(s, Written) else str(s) for s in stated
    )
    return f"{text} ✗ ({said})"


def _print_verdict(verdicts: list[bool]) -> None:
    if not verdicts:
        return
    right = sum(verdicts)
    if right == len(verdicts):
        click.echo(said("✓ {} of {} values are as stated", right, right))
    else:
        click.echo(
            said("✗ {} of {} values are as stated; (·) is what is stated", right, len(verdicts))
        )
