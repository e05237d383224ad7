"""`cello train`: the group of the tasks that can be trained."""

from __future__ import annotations

from cello.cli.command import Group

__all__ = ["command"]

command = Group(
    "train",
    modules={
        "tag": "cello.cli.training.tag",
        "chars": "cello.cli.training.chars",
        "classify": "cello.cli.training.classify",
        "forecast": "cello.cli.training.forecast",
    },
    help="Train a network: `tag` gives each element its label, `chars` predicts the next one, "
    "`classify` gives a whole sequence one label, `forecast` the next values of series.",
    example="""
    cello train tag --pieces 200 --epochs 1 -o model
    cello train chars --epochs 1 -o writer
    cello train classify --epochs 2 -o digits
    cello train forecast --embedded sunspots --epochs 1 -o sunspots
    """,
    own="""
    cello train tag --train train.txt --validation dev.txt --test test.txt -o words
    cello train chars --train texts/ --epochs 5 -o writer
    cello train classify --train reviews.csv -o reviews
    cello train forecast --train sales.csv --target sales --horizon 14 --context 56 -o sales
    """,
)
