"""Request bodies, read and inflated within limits."""

from __future__ import annotations

import zlib

import zstandard
from starlette.requests import Request

from tocsin.model.errors import InvalidBatch

__all__ = ["TooLarge", "inflate", "read_body"]

_GZIP_WINDOW = 31


class TooLarge(InvalidBatch):
    """A body beyond the limit; the sender must send less at a time."""


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body, never holding more than `max_bytes` of it.

    Raises:
        TooLarge: it is longer, whatever its Content-Length said.
    """
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"the body is larger than {max_bytes} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def inflate(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo a Content-Encoding, stopping at `max_bytes`: a bomb costs no more than an honest body.

    Raises:
        TooLarge: it inflates to more.
        InvalidBatch: not of that encoding, or an encoding that is not known.
    """
    if encoding in ("", "identity"):
        return body
    try:
        plain = _inflaters[encoding](body, max_bytes + 1)
    except KeyError as error:
        raise InvalidBatch(f"content-encoding {encoding!r} is not known; use gzip, zstd or none") from error
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise InvalidBatch(f"the body is not {encoding}: {error}") from error
    if len(plain) > max_bytes:
        raise TooLarge(f"the body inflates to more than {max_bytes} bytes")
    return plain


def _gunzip(body: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    plain = inflater.decompress(body, limit)
    if len(plain) < limit and not inflater.eof:
        raise EOFError("it ends too early")
    return plain


def _unzstd(body: bytes, limit: int) -> bytes:
    with zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True) as reader:
        return reader.read(limit)


_inflaters = {"gzip": _gunzip, "zstd": _unzstd}
