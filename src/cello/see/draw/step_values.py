"""The numbers of one step, by the names of a recording."""

from __future__ import annotations

from torch import Tensor, nn

from cello.errors import ArgumentError
from cello.see.draw.values import shown_number
from cello.see.recording import Recording

__all__ = ["StepValues"]


class StepValues:
    """The units of each value at one step; of nothing without a recording.

    Raises:
        ArgumentError: the recording has no such step or sequence.
    """

    def __init__(
        self, recording: Recording | None, t: int = 0, batch: int = 0, digits: int = 5
    ) -> None:
        self.recording, self.t, self.batch, self.digits = recording, t, batch, digits
        if recording is None:
            return
        for rows in recording.by_layer.values():
            length = rows.length(batch)
            if not 0 <= t < length:
                raise ArgumentError(
                    f"t={t} is no step of sequence {batch}, which has {length}, counted from 0"
                )

    def of(self, name: str) -> tuple[str, ...] | None:
        """The numbers of all units of a value, as text; None if they were not recorded."""
        if self.recording is None or name not in self.recording.names:
            return None
        return self._shown(self.recording[name][self.t, self.batch])

    def output(self, net: nn.Module) -> tuple[str, ...] | None:
        """The numbers that the net put out; None if that was no sequence of vectors."""
        made = None if self.recording is None else self.recording.output
        if not isinstance(made, Tensor) or made.dim() not in (2, 3):
            return None
        if made.dim() == 2:
            return self._shown(made[self.t])
        first = getattr(net, "batch_first", False)
        return self._shown(made[self.batch, self.t] if first else made[self.t, self.batch])

    def _shown(self, units: Tensor) -> tuple[str, ...]:
        numbers = units.detach().cpu().flatten().tolist()
        return tuple(shown_number(number, self.digits) for number in numbers)
