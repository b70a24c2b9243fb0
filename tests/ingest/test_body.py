"""Request bodies within limits."""

from __future__ import annotations

import gzip

import pytest
import zstandard

from tocsin.ingest.body import TooLarge, inflate
from tocsin.model.errors import InvalidBatch

LIMIT = 1 << 20


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress), ("", bytes)]
)
def test_an_honest_body_comes_through(encoding: str, compress: type[bytes]) -> None:
    """A body within the limit is inflated whole."""
    assert inflate(compress(b"x" * LIMIT), encoding, LIMIT) == b"x" * LIMIT


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstandard.ZstdCompressor().compress)]
)
def test_a_bomb_is_stopped_at_the_limit(encoding: str, compress: type[bytes]) -> None:
    """A body that inflates beyond the limit is refused."""
    with pytest.raises(TooLarge, match="inflates to more than"):
        inflate(compress(b"\0" * (64 * LIMIT)), encoding, LIMIT)


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "br"])
def test_a_body_that_is_not_what_it_says_is_refused(encoding: str) -> None:
    """A wrong or unknown encoding is an error that names it."""
    with pytest.raises(InvalidBatch, match=encoding):
        inflate(b"certainly not compressed", encoding, LIMIT)
