from __future__ import annotations

import math
import re
from xml.etree import ElementTree

from cello.train.report.curves import curves

ROWS = [
    {"epoch": epoch, "loss": 2.0 / epoch, "validation_accuracy": 1 - 0.5**epoch}
    for epoch in range(1, 6)
]


def drawn(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{tag}"))


def test_a_curve_each_for_the_loss_and_the_metric_with_the_best_epoch():
    svg = curves(ROWS, "accuracy", 4)
    loss, accuracy = (
        [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
        for line in drawn(svg, "polyline")
    )
    assert len(loss) == len(accuracy) == 5
    assert loss == sorted(loss)  # to the right and, downwards counting up, down
    assert [y for _, y in accuracy] == sorted((y for _, y in accuracy), reverse=True)
    for circle, points in zip(drawn(svg, "circle"), (loss, accuracy), strict=True):
        assert (float(circle.attrib["cx"]), float(circle.attrib["cy"])) == points[3]
    text = [part.text for part in drawn(svg, "text")]
    assert {"training loss", "validation accuracy", "0.5", "2", "1", "5"} <= set(text)
    assert "validation accuracy: 0.9688" in drawn(svg, "desc")[0].text


def test_what_is_no_number_is_left_out():
    rows = [{**row, "validation_accuracy": math.nan} for row in ROWS]
    rows[2]["loss"] = math.inf
    (line,) = drawn(curves(rows, "accuracy", 1), "polyline")
    assert len(line.attrib["points"].split()) == 4
    assert not re.search("nan|inf", curves(rows, "accuracy", 1))


def test_one_epoch_is_a_dot_and_thousands_are_thinned_out():
    assert len(drawn(curves(ROWS[:1], "accuracy", 1), "circle")) == 2
    many = [{"epoch": epoch, "loss": 1 / epoch} for epoch in range(1, 2002)]
    (line,) = drawn(curves(many, "accuracy", 7), "polyline")
    assert len(line.attrib["points"].split()) <= 501
    labels = [int(part.text) for part in drawn(curves(many, "a", 7), "text") if part.text.isdigit()]
    assert {1, 500, 1000, 2001} <= set(labels)


def test_a_metric_that_stands_still():
    rows = [{"epoch": epoch, "loss": 0.0} for epoch in (1, 2)]
    (line,) = drawn(curves(rows, "<&>", 1), "polyline")
    heights = {point.split(",")[1] for point in line.attrib["points"].split()}
    assert len(heights) == 1
