"""A client of TAXII 2.1: the objects that were added to a collection since the last time, page by page.

Written for httpx, since the well-known client (taxii2-client) has not been released since 2021 and cannot bound what
it reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

import httpx
import msgspec

from tocsin.intel.fetch import MAX_BYTES, Source, request
from tocsin.intel.options import Options
from tocsin.model.errors import InvalidFeed, Unreachable

__all__ = ["collection_url", "fetch_objects"]

_ACCEPT: Final = {"Accept": "application/taxii+json;version=2.1"}
_PAGE: Final = 1_000
_MAX_PAGES: Final = 10_000


def fetch_objects(location: str, options: Options, cursor: Mapping[str, Any], client: httpx.Client) -> Source:
    """All objects added since the cursor, each page an envelope with `objects`.

    Raises:
        Unreachable: the server does not answer, or does not let us in.
        InvalidFeed: it answers with something else, or has no such collection.
    """
    collection = collection_url(location, options, client)
    query: dict[str, str] = {"limit": str(_PAGE)}
    if cursor.get("added_after"):
        query["added_after"] = str(cursor["added_after"])
    pages, size, added = [], 0, cursor.get("added_after", "")
    for _ in range(_MAX_PAGES):
        response, content = request(f"{collection}objects/?{urlencode(query)}", options, _ACCEPT, client)
        page = _decoded(content, collection)
        added = response.headers.get("x-taxii-date-added-last") or added
        size += len(content)
        if size > MAX_BYTES:
            raise InvalidFeed(f"{collection} is larger than {MAX_BYTES >> 20} MiB")
        if page.get("objects"):
            pages.append(content)
        if not page.get("more"):
            return Source(tuple(pages), {"added_after": added} if added else {}, changes_only=True)
        query = {**query, **_next(page, added)}
    raise InvalidFeed(f"{collection} has more than {_MAX_PAGES:,} pages")


def _next(page: Mapping[str, Any], added: str) -> dict[str, str]:
    """How to ask for the page after this one: as the server says, or, where it does not, by the time of its last."""
    if page.get("next"):
        return {"next": str(page["next"])}
    if added:
        return {"added_after": added}
    raise InvalidFeed("the TAXII server has more, but does not say how to ask for it")


def collection_url(location: str, options: Options, client: httpx.Client) -> str:
    """The URL of the collection: the location itself, or the one that the options name of an API root.

    The location may also be a server's discovery URL; then the API root is the one that it names first.

    Raises:
        InvalidFeed: no collection is named, or there is none of that name; says which there are.
    """
    base = location if location.endswith("/") else f"{location}/"
    if "/collections/" in base:
        return base
    try:
        _, content = request(f"{base}collections/", options, _ACCEPT, client)
    except Unreachable:
        base = _api_root(base, options, client)
        if not base:
            raise
        _, content = request(f"{base}collections/", options, _ACCEPT, client)
    found = [each for each in _decoded(content, base).get("collections") or [] if isinstance(each, dict)]
    for each in found:
        if options.collection and options.collection in (each.get("id"), each.get("title"), each.get("alias")):
            return f"{base}collections/{each.get('id')}/"
    known = ", ".join(f"{each.get('title')} ({each.get('id')})" for each in found) or "none that may be read"
    said = f"no collection {options.collection!r}" if options.collection else "name a collection with --collection"
    raise InvalidFeed(f"{location}: {said}; there are {known}")


def _api_root(discovery: str, options: Options, client: httpx.Client) -> str:
    """The API root that a discovery URL names; nothing if it is no such URL.

    Raises:
        InvalidFeed: it is on another server, which is not to see the password for this one.
    """
    try:
        _, content = request(discovery, options, _ACCEPT, client)
        said = _decoded(content, discovery)
    except (Unreachable, InvalidFeed):
        return ""
    roots = [said.get("default"), *(said.get("api_roots") or [])]
    root = next((urljoin(discovery, each) for each in roots if each and isinstance(each, str)), "")
    if root and urlsplit(root)[:2] != urlsplit(discovery)[:2]:
        raise InvalidFeed(f"{discovery} names the API root {root}, which is on another server; name it yourself")
    return f"{root.rstrip('/')}/" if root else ""


def _decoded(content: bytes, location: str) -> dict[str, Any]:
    try:
        page = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidFeed(f"{location}: no answer of a TAXII server: {error}") from error
    if not isinstance(page, dict):
        raise InvalidFeed(f"{location}: no answer of a TAXII server")
    return page
