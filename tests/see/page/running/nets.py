"""Runs nets in the browser, as a page does, and gives what they make."""

from __future__ import annotations

import json
from typing import Any

from cello.see.page.bundle import script
from cello.see.page.running.net import RunningNet

__all__ = ["JavaScript"]


class JavaScript:
    """A page that holds one net after the other."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def load(self, net: RunningNet) -> None:
        """Make `net` out of its JavaScript."""
        kind = {"float32": "Float32Array", "float64": "Float64Array"}[net.about["dtype"]]
        about = json.dumps(net.about)
        self.page.evaluate(
            f"""(numbers) => {{
                {script("net")}
                const steps = {net.steps};
                window.net = new Net({about}, steps, {kind}.from(numbers));
            }}""",
            net.numbers.tolist(),
        )

    def run(self, rows: list[float], length: int, **more: Any) -> dict[str, Any]:
        """All named values by "layer/name", and the output as "output", each flat."""
        forced = more.pop("forced", [])
        given = {"rows": rows, "length": length, **more}
        found: dict[str, Any] = self.page.evaluate(
            """([input, forced]) => {
                const result = window.net.run(input, forced);
                const found = { output: Array.from(net.output(result)) };
                for (const { layers } of net.about.stages) {
                    for (const { name, step } of layers ?? []) {
                        if (name === null) continue;
                        for (const value in net.about.steps[step].names) {
                            found[`${name}/${value}`] = Array.from(net.value(result, name, value));
                        }
                    }
                }
                return found;
            }""",
            [given, forced],
        )
        return found
