"""RTNeural's files, the format of neural audio plug-ins: read and written.

Imports `convert.proof`, `convert.pytorch` and below; `cello.convert` hands both on.
"""

from cello.convert.rtneural.rtneural_reader import from_rtneural
from cello.convert.rtneural.rtneural_writer import to_rtneural

__all__ = ["from_rtneural", "to_rtneural"]
