"""Lines of JSON end to end, each an object of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["Lines", "stripped"]

_NEWLINE = b"\n"


class Lines(NamedTuple):
    """Lines that look like an object each: they start and end with a brace, in text that is UTF-8.

    ends: where each line's text ends, if nothing stands between the lines.
    """

    lines: Sequence[bytes]
    text: bytes  # with a newline between the lines
    ends: npt.NDArray[np.int64]

    @staticmethod
    def of(lines: Sequence[bytes]) -> Lines | None:
        """The lines, none of them blank and without space around them; None if they do not all look like objects.

        An object that runs over several lines does not: what starts with a brace goes on after a comma or a colon.
        """
        text = _NEWLINE.join(lines)
        ends = np.cumsum(np.fromiter(map(len, lines), np.int64, len(lines)))
        if not _is_text(text):
            return None
        if lines:
            read = np.frombuffer(text, np.uint8)
            ends_read = ends + np.arange(len(lines))
            opened = read[np.concatenate(([0], ends_read[:-1] + 1))] == ord("{")
            if not (opened & (read[ends_read - 1] == ord("}"))).all():
                return None
        return Lines(lines, text, ends)

    def array(self) -> pa.StringArray:
        """The lines as an Arrow column."""
        offsets = np.concatenate(([0], self.ends)).astype(np.int32)
        return pa.StringArray.from_buffers(len(self.lines), pa.py_buffer(offsets), pa.py_buffer(b"".join(self.lines)))


def _is_text(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def stripped(lines: Sequence[bytes]) -> tuple[list[bytes], Sequence[int]]:
    """The lines that are not blank, without space around them, and for each of them which of the lines it is."""
    bare = [line.strip() for line in lines]
    if all(bare):
        return bare, range(len(bare))
    numbers = [at for at, line in enumerate(bare) if line]
    return [bare[at] for at in numbers], numbers
