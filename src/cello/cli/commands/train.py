"""`cello train`: the group of the tasks that can be trained."""

from __future__ import annotations

from cello.cli.command import Group

__all__ = ["command"]

command = Group(
    "train",
    modules={"tag": "cello.cli.training.tag", "chars": "cello.cli.training.chars"},
    help="Train a network: `tag` gives each element its label, `chars` predicts the next one.",
    example="""
    cello train tag --pieces 200 --epochs 1 -o model
    cello train chars --epochs 1 -o writer
    """,
    own="""
    cello train tag --train train.txt --validation dev.txt --test test.txt -o words
    cello train chars --train texts/ --epochs 5 -o writer
    """,
)
