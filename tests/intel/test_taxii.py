"""The TAXII client against a server that nobody here wrote: OASIS's medallion, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tocsin.intel.options import Options
from tocsin.intel.read.stix import objects
from tocsin.intel.taxii import fetch_objects
from tocsin.model.errors import InvalidFeed, Unreachable
from tocsin.testing import free_port, wait_for

KNOWN = Options(collection="Listed", username="reader", password="secret")
COLLECTION = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
_START = "from medallion.scripts.run import main; main()"


def _indicator(number: int) -> dict[str, Any]:
    stamp = f"2026-01-01T00:00:{number:02}.000Z"
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--00000000-0000-4000-8000-{number:012d}",
        "created": stamp,
        "modified": stamp,
        "pattern_type": "stix",
        "pattern": f"[ipv4-addr:value = '198.51.1.{number}']",
        "valid_from": stamp,
    }


def _collection(title: str, key: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    media = "application/stix+json;version=2.1"
    manifest = [
        {"id": each["id"], "date_added": each["modified"], "version": each["modified"], "media_type": media}
        for each in found
    ]
    about = {"id": key, "title": title, "can_read": True, "can_write": True, "media_types": [media]}
    return {**about, "objects": found, "manifest": manifest}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API root of a server with seven objects in one collection, two a page."""
    folder, port = tmp_path_factory.mktemp("taxii"), free_port()
    url = f"http://127.0.0.1:{port}/root/"
    collections = [_collection("Listed", COLLECTION, [_indicator(n) for n in range(1, 8)])]
    collections += [_collection("Empty", COLLECTION.replace("9", "8"), [])]
    about = {"title": "x", "versions": ["application/taxii+json;version=2.1"], "max_content_length": 9_765_625}
    data = {
        "/discovery": {"title": "x", "default": url, "api_roots": [url]},
        "root": {"information": about, "status": [], "collections": collections},
    }
    (folder / "data.json").write_text(json.dumps(data))
    backend = {
        "module": "medallion.backends.memory_backend",
        "module_class": "MemoryBackend",
        "filename": str(folder / "data.json"),
    }
    settings = {"backend": backend, "users": {"reader": "secret"}, "taxii": {"max_page_size": 2}}
    (folder / "settings.json").write_text(json.dumps(settings))
    yield from _served(url, port, folder)


def _served(url: str, port: int, folder: Path) -> Iterator[str]:
    command = [sys.executable, "-W", "ignore", "-c", _START, "--port", str(port), str(folder / "settings.json")]
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_for(lambda: _answers(url) or process.poll() is not None, 30, "a TAXII server")
            assert process.poll() is None, (folder / "log").read_text()
            yield url
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == httpx.codes.UNAUTHORIZED
    except httpx.TransportError:
        return False


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client of its own for each test."""
    with httpx.Client(timeout=10) as made:
        yield made


def _ids(documents: tuple[bytes, ...]) -> list[int]:
    return [int(each["id"][-12:]) for page in documents for each in objects(page)]


def test_all_pages_of_a_collection(root: str, client: httpx.Client) -> None:
    """Every object comes once, two a page, and the cursor is the time when the last was added."""
    source = fetch_objects(root, KNOWN, {}, client)
    assert _ids(source.documents) == [1, 2, 3, 4, 5, 6, 7]
    assert len(source.documents) == 4
    assert source.changes_only
    assert source.cursor["added_after"].startswith("2026-01-01T00:00:07")


def test_only_what_was_added_since(root: str, client: httpx.Client) -> None:
    """A second fetch asks for what was added after the cursor, and keeps it where nothing was."""
    later = fetch_objects(root, KNOWN, {"added_after": "2026-01-01T00:00:05.000Z"}, client)
    assert _ids(later.documents) == [6, 7]
    assert fetch_objects(root, KNOWN, later.cursor, client).documents == ()
    assert fetch_objects(root, KNOWN, later.cursor, client).cursor == later.cursor


def test_a_collection_by_its_own_url(root: str, client: httpx.Client) -> None:
    """The location may be the collection itself."""
    source = fetch_objects(f"{root}collections/{COLLECTION}", KNOWN, {}, client)
    assert len(_ids(source.documents)) == 7


def test_a_server_by_its_discovery_url(root: str, client: httpx.Client) -> None:
    """The location may be what a server says about itself; the password goes to no other server that it names."""
    discovery = root.replace("/root/", "/taxii2/")
    assert len(_ids(fetch_objects(discovery, KNOWN, {}, client).documents)) == 7

    def elsewhere(request: httpx.Request) -> httpx.Response:
        known = request.url.path == "/taxii2/"
        return httpx.Response(200, json={"default": "https://y.example/root/"}) if known else httpx.Response(404)

    with httpx.Client(transport=httpx.MockTransport(elsewhere)) as other, pytest.raises(InvalidFeed, match="another"):
        fetch_objects("https://x.example/taxii2", KNOWN, {}, other)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (Options(username="reader", password="secret"), InvalidFeed, "name a collection with --collection; there are"),
        (Options(collection="No", username="reader", password="secret"), InvalidFeed, r"there are Listed \(91a7b528"),
        (Options(collection="Listed", username="reader", password="wrong"), Unreachable, "answered 401"),
    ],
)
def test_what_is_wrong_is_said(
    root: str, client: httpx.Client, given: Options, error: type[Exception], said: str
) -> None:
    """A collection that is not named or not there, and a wrong password, are one sentence each."""
    with pytest.raises(error, match=said):
        fetch_objects(root, given, {}, client)


_Answer = Callable[[httpx.Request], httpx.Response]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda _: httpx.Response(200, content=b"<html>"), "no answer of a TAXII server"),
        (lambda _: httpx.Response(200, content=b"[]"), "no answer of a TAXII server"),
        (lambda _: httpx.Response(200, json={"more": True, "objects": []}), "does not say how to ask for it"),
    ],
)
def test_a_server_that_is_none(answer: _Answer, said: str) -> None:
    """Whatever else answers there is refused, and a server that has always more is not asked for ever."""
    with httpx.Client(transport=httpx.MockTransport(answer)) as client, pytest.raises(InvalidFeed, match=said):
        fetch_objects("http://x.example/collections/1/", Options(), {}, client)
