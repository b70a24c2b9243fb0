"""Where feeds come from: files, folders and URLs, and what happens where they do not."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tocsin.intel.fetch import fetch
from tocsin.intel.options import Options
from tocsin.model.errors import InvalidFeed, Unreachable

NONE = Options()


class _Handler(BaseHTTPRequestHandler):
    """Serves a list with an entity tag, a MISP feed, and errors."""

    pages: dict[str, bytes] = {  # noqa: RUF012 -- the library makes the object
        "/list.txt": b"198.51.1.7\n",
        "/packed.txt.gz": gzip.compress(b"198.51.1.8\n"),
        "/misp/manifest.json": json.dumps({"e-1": {}, "e-2": {}}).encode(),
        "/misp/e-1.json": b'{"Event": 1}',
        "/misp/e-2.json": b'{"Event": 2}',
    }

    def do_GET(self) -> None:
        content = self.pages.get(self.path)
        code = 404 if content is None else 304 if self.headers.get("If-None-Match") == '"1"' else 200
        if self.path == "/private" and self.headers.get("Authorization") == "Bearer t":
            content, code = b"198.51.1.9\n", 200
        self.send_response(code)
        body = (content or b"") if code == 200 else b""
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A web server on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client of its own for each test."""
    with httpx.Client(timeout=10) as made:
        yield made


def test_a_url_is_read_once_until_it_changes(site: str, client: httpx.Client) -> None:
    """A second fetch sends the entity tag and gets no document."""
    first = fetch(f"{site}/list.txt", NONE, {}, client)
    assert (first.documents, first.cursor) == ((b"198.51.1.7\n",), {"etag": '"1"'})
    again = fetch(f"{site}/list.txt", NONE, first.cursor, client)
    assert (again.documents, again.cursor) == ((), first.cursor)


def test_what_is_packed_is_unpacked(site: str, client: httpx.Client) -> None:
    """A gzipped list is a list."""
    assert fetch(f"{site}/packed.txt.gz", NONE, {}, client).documents == (b"198.51.1.8\n",)


def test_a_token_opens_a_private_feed(site: str, client: httpx.Client) -> None:
    """The bearer token of the options is sent; without it the server's answer is the reason."""
    assert fetch(f"{site}/private", Options(token="t"), {}, client).documents == (b"198.51.1.9\n",)
    with pytest.raises(Unreachable, match=r"/private: answered 404 Not Found"):
        fetch(f"{site}/private", NONE, {}, client)


def test_a_misp_feed_is_all_events_of_its_manifest(site: str, tmp_path: Path, client: httpx.Client) -> None:
    """The manifest's events are read from beside it, at a URL and in a folder."""
    assert fetch(f"{site}/misp/manifest.json", NONE, {}, client).documents == (b'{"Event": 1}', b'{"Event": 2}')
    (tmp_path / "manifest.json").write_text('{"e-9": {}}')
    (tmp_path / "e-9.json").write_text("{}")
    assert fetch(str(tmp_path / "manifest.json"), NONE, {}, client).documents == (b"{}",)


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, client: httpx.Client) -> None:
    """Its time and size tell whether a file is the one that was read."""
    path = tmp_path / "list.txt"
    path.write_text("198.51.1.7\n")
    first = fetch(str(path), NONE, {}, client)
    assert fetch(str(path), NONE, first.cursor, client).documents == ()
    os.utime(path, ns=(1, 1))
    assert fetch(str(path), NONE, first.cursor, client).documents == (b"198.51.1.7\n",)


def test_what_is_not_there_is_said(tmp_path: Path, client: httpx.Client) -> None:
    """A file that is gone, a server that is not there and a URL that is none are one sentence each."""
    with pytest.raises(Unreachable, match=r"gone\.txt: No such file or directory"):
        fetch(str(tmp_path / "gone.txt"), NONE, {}, client)
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:1/: .+"):
        fetch("http://127.0.0.1:1/", NONE, {}, client)
    with pytest.raises(Unreachable):
        fetch("http://[bad/", NONE, {}, client)


def test_damaged_archives_are_refused(tmp_path: Path, client: httpx.Client) -> None:
    """What begins like gzip and is not is the feed's fault, not ours."""
    path = tmp_path / "list.gz"
    path.write_bytes(gzip.compress(b"x" * 1000)[:-9])
    with pytest.raises(InvalidFeed, match="cannot be unpacked"):
        fetch(str(path), NONE, {}, client)
