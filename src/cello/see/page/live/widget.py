"""The explorer in a notebook: Jupyter, marimo and whatever else knows anywidget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anywidget
import traitlets

from cello.errors import CelloError
from cello.see.page.bundle import script, style
from cello.see.page.data import place_of
from cello.see.page.live.session import Session
from cello.see.page.series import Outlook
from cello.see.recording.recorded import Recorded

__all__ = ["Explorer"]


class Explorer(anywidget.AnyWidget):
    """A recording to be looked at; see `Recording.explore`.

    The front end asks by messages: {id, question, about}, and gets {id, answer} or {id, error},
    with the numbers of a block, or of one step, as bytes beside it.
    """

    _esm = script("widget") + "\nexport default { render };\n"
    _css = style()

    head = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        recordings: Sequence[Recorded],
        tokens: Any,
        title: str,
        begin: tuple[str, int] | tuple[str, int, int] | None,
        description: str = "",
        labels: Sequence[str] | None = None,
        forecast: Outlook | Sequence[Outlook | None] | None = None,
    ) -> None:
        self.session = Session(recordings, tokens, title, labels, forecast)
        self._esm = f"const NET_STEPS = {self.session.steps};\n{self._esm}"
        place = {} if begin is None else {"begin": place_of(recordings[0], *begin)}
        head = self.session.head | {"description": description} | place
        super().__init__(head=head)
        self.on_msg(self._asked)

    def __repr__(self) -> str:
        """What a notebook shows that was opened without running the cell."""
        return f"<Explorer {self.head['title']!r}: run the cell, or write a page with to_html>"

    def _asked(self, _: Any, message: dict[str, Any], __: Any) -> None:
        """Answer, whatever goes wrong: nobody would see a traceback, and the page would wait."""
        answer: dict[str, Any] = {}
        data: list[bytes] = []
        try:
            question, about = str(message.get("question")), dict(message.get("about", {}))
            if question == "numbers":
                data = [self.session.numbers(int(about["run"]), int(about["block"]))]
            elif question == "step":
                data = [self.session.step(**about)]
            else:
                answer = {"answer": self.session.ask(question, about)}
        except CelloError as error:
            answer = {"error": str(error)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        self.send({"id": message.get("id")} | answer, data)
