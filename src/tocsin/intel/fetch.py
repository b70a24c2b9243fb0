"""What a feed's source has now: a file, a folder, a URL or a TAXII server.

Every source has a cursor of its own, kept with the feed: what tells a second fetch that nothing is new, or where to go
on. Sizes are bounded, packed ones once unpacked.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import httpx
import msgspec

from tocsin.intel.options import Options
from tocsin.intel.read.misp import event_names
from tocsin.model.errors import InvalidFeed, Unreachable

__all__ = ["AGENT", "MAX_BYTES", "Source", "feed_client", "fetch", "is_url", "request"]

MAX_BYTES: Final = 512 * 1024 * 1024
AGENT: Final = {"User-Agent": "tocsin"}
_TIMEOUT_S: Final = 60.0
_MAX_EVENTS: Final = 10_000
_GZIP: Final = b"\x1f\x8b"
_MANIFEST: Final = "manifest.json"


class Source(msgspec.Struct, frozen=True):
    """What a source gave: documents, none if nothing is new, and its cursor."""

    documents: tuple[bytes, ...]
    cursor: dict[str, Any]
    changes_only: bool = False  # what was given before and does not come again still holds


def feed_client() -> httpx.Client:
    """The client that feeds are fetched with."""
    return httpx.Client(timeout=_TIMEOUT_S, follow_redirects=True, max_redirects=5)


def is_url(location: str) -> bool:
    """A URL, not a path."""
    return location.startswith(("http://", "https://"))


def fetch(location: str, options: Options, cursor: Mapping[str, Any], client: httpx.Client) -> Source:
    """The documents of a source; of a MISP feed's folder (a URL or path of its manifest.json) every event.

    Raises:
        Unreachable: it does not answer, is not there, or may not be read.
        InvalidFeed: it is larger than a feed may be.
    """
    content, found = _get(location, options, cursor, client)
    if content is None:
        return Source((), dict(cursor))
    if location.rpartition("/")[2] == _MANIFEST:
        return Source(_events(location, content, options, client), found)
    return Source((content,), found)


def _events(location: str, manifest: bytes, options: Options, client: httpx.Client) -> tuple[bytes, ...]:
    names, events, size = event_names(manifest), [], 0
    if len(names) > _MAX_EVENTS:
        raise InvalidFeed(f"{location} lists more than {_MAX_EVENTS:,} events")
    for name in names:
        where = urljoin(location, f"{name}.json") if is_url(location) else str(Path(location).with_name(f"{name}.json"))
        content, _ = _get(where, options, {}, client)
        events.append(content or b"")
        size += len(events[-1])
        _bound(size, location)
    return tuple(events)


def _get(
    location: str, options: Options, cursor: Mapping[str, Any], client: httpx.Client
) -> tuple[bytes | None, dict[str, Any]]:
    """The content, None if it is as it was, and the cursor."""
    if not is_url(location):
        return _read_file(Path(location), cursor)
    conditions = {"If-None-Match": cursor.get("etag"), "If-Modified-Since": cursor.get("modified")}
    headers = {name: str(value) for name, value in conditions.items() if value}
    response, content = request(location, options, headers, client)
    if response.status_code == httpx.codes.NOT_MODIFIED:
        return None, dict(cursor)
    kept = {"etag": response.headers.get("etag"), "modified": response.headers.get("last-modified")}
    return _unpacked(content, location), {name: value for name, value in kept.items() if value}


def _read_file(path: Path, cursor: Mapping[str, Any]) -> tuple[bytes | None, dict[str, Any]]:
    try:
        stat = path.stat()
        found = {"mtime_ns": stat.st_mtime_ns, "size": stat.st_size}
        if found == cursor:
            return None, found
        _bound(stat.st_size, str(path))
        return _unpacked(path.read_bytes(), str(path)), found
    except OSError as error:
        raise Unreachable(f"{path}: {error.strerror}") from error


def request(
    location: str, options: Options, headers: Mapping[str, str], client: httpx.Client
) -> tuple[httpx.Response, bytes]:
    """The answer to a GET, whole.

    Raises:
        Unreachable: no answer, or one that says that there is nothing for us.
        InvalidFeed: it is too large.
    """
    auth = (options.username, options.password) if options.username else None
    bearer = {"Authorization": f"Bearer {options.token}"} if options.token else {}
    content = bytearray()
    try:
        with client.stream("GET", location, headers={**AGENT, **headers, **bearer}, auth=auth) as response:
            for part in response.iter_bytes():
                content += part
                _bound(len(content), location)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"{location}: {error or type(error).__name__}") from error
    if response.status_code >= httpx.codes.BAD_REQUEST:
        raise Unreachable(f"{location}: answered {response.status_code} {response.reason_phrase}")
    return response, bytes(content)


def _unpacked(content: bytes, location: str) -> bytes:
    if not content.startswith(_GZIP):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as file:
            unpacked = file.read(MAX_BYTES + 1)
    except (OSError, EOFError) as error:
        raise InvalidFeed(f"{location}: cannot be unpacked: {error}") from error
    _bound(len(unpacked), location)
    return unpacked


def _bound(size: int, location: str) -> None:
    if size > MAX_BYTES:
        raise InvalidFeed(f"{location} is larger than {MAX_BYTES >> 20} MiB")
