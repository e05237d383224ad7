"""`cello train`: the group of the tasks that can be trained."""

from __future__ import annotations

from cello.cli.command import Group

__all__ = ["command"]

command = Group(
    "train",
    modules={"tag": "cello.cli.training.tag", "chars": "cello.cli.training.chars"},
    help="Train a network: `tag` gives each element its label, `chars` predicts the next one.",
    example="""
    cello train tag -o model
    cello train chars --train my-texts/ -o model --epochs 5
    """,
)
