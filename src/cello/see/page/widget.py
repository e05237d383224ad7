"""The explorer in a notebook: Jupyter, marimo and whatever else knows anywidget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from cello.errors import CelloError
from cello.see.page.bundle import script, style
from cello.see.page.session import Session

if TYPE_CHECKING:
    from cello.see.recording import Recording

__all__ = ["Explorer"]


class Explorer(anywidget.AnyWidget):
    """A recording to be looked at; see `Recording.explore`.

    The front end asks by messages: {id, question, about}, and gets {id, answer} or {id, error},
    with the numbers of a block as bytes beside it.
    """

    _esm = script("widget") + "\nexport default { render };\n"
    _css = style()

    head = traitlets.Dict().tag(sync=True)

    def __init__(self, recordings: Sequence[Recording], tokens: Any, title: str) -> None:
        self.session = Session(recordings, tokens, title)
        super().__init__(head=self.session.head)
        self.on_msg(self._asked)

    def _asked(self, _: Any, message: dict[str, Any], __: Any) -> None:
        number, about = message.get("id"), dict(message.get("about", {}))
        try:
            if message.get("question") == "numbers":
                data = self.session.numbers(int(about["run"]), int(about["block"]))
                self.send({"id": number}, [data])
            else:
                answer = self.session.ask(str(message.get("question")), about)
                self.send({"id": number, "answer": answer})
        except (CelloError, KeyError, ValueError) as error:
            self.send({"id": number, "error": str(error)})
