"""Notifications leave the outbox: signed, at least once, and never lost."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import msgspec
import pytest
import sqlalchemy as sa

import sample_intrusion
from tocsin.alert.channels import new_secret, set_webhook
from tocsin.alert.outbox import LEASE_MS, MAX_TRIES, NEVER_MS, Delivery, Outcome, backoff_s, claim, due, settle
from tocsin.alert.record import record
from tocsin.alert.webhook import Webhook, sign
from tocsin.model.errors import InvalidSetting
from tocsin.ports import Notifier
from tocsin.state.tables import outbox

ORG = sample_intrusion.ORG
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Wall:
    """The system's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Received(msgspec.Struct, frozen=True):
    """A request as the receiver saw it."""

    at: float
    headers: dict[str, str]
    body: bytes


class Receiver:
    """A real HTTP server; answers with the queued statuses, then with 204."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.received: list[Received] = []
        self.statuses: list[int] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {key.lower(): value for key, value in self.headers.items()}
                outer.received.append(Received(time.time(), headers, body))
                time.sleep(delay_s)
                self.send_response(outer.statuses.pop(0) if outer.statuses else 204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep the test's output to itself."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that answers at once."""
    running = Receiver()
    yield running
    running.close()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """One HTTP client for all webhooks."""
    with httpx.Client(trust_env=False) as opened:
        yield opened


def _webhooks(client: httpx.Client) -> Callable[[str, Mapping[str, object]], Notifier]:
    return lambda _kind, config: Webhook(client, str(config["url"]), str(config["secret"]))


@contextmanager
def _delivering(engine: sa.Engine, client: httpx.Client) -> Iterator[Delivery]:
    delivery = Delivery(engine, _webhooks(client), Wall())
    thread = threading.Thread(target=delivery.run)
    thread.start()
    try:
        yield delivery
    finally:
        delivery.stop()
        thread.join(20)
    assert not thread.is_alive()


def _until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def _alert(engine: sa.Engine, name: str = "a", count: int = 1) -> None:
    one = sample_intrusion.findings(Wall().now_ms())[-1]
    found = [msgspec.structs.replace(one, rule_id=f"{name}-{n}") for n in range(count)]
    with engine.begin() as connection:
        record(connection, found, Wall().now_ms())


def _channel(engine: sa.Engine, url: str, name: str = "soc", secret: str = SECRET) -> None:
    with engine.begin() as connection:
        set_webhook(connection, ORG, name, url, secret)


def _rows(engine: sa.Engine) -> list[sa.Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(outbox).order_by(outbox.c.id)))


def _tried(engine: sa.Engine, tries: int) -> bool:
    (row,) = _rows(engine)
    return row.tries == tries and "answered" in (row.last_error or "")


def _now(engine: sa.Engine) -> None:
    """Make every waiting notification due, as if its backoff were over."""
    with engine.begin() as connection:
        connection.execute(sa.update(outbox).where(outbox.c.next_try_at < NEVER_MS).values(next_try_at=0))


def test_the_signature_is_the_standards_own_example() -> None:
    """The specification's published vector gives its published signature."""
    signature = sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_that_is_none_is_refused() -> None:
    """A secret that is not base64 is a setting to be mended, not a signature with something else."""
    with pytest.raises(InvalidSetting):
        sign("whsec_not base64!", "key", 0, b"")
    assert sign(new_secret(), "key", 0, b"").startswith("v1,")


def test_a_new_alert_reaches_the_receiver_signed_and_at_once(
    engine: sa.Engine, receiver: Receiver, client: httpx.Client
) -> None:
    """Without anybody waking it, delivery takes well under a second, and the receiver can check who sent it."""
    _channel(engine, receiver.url)
    with _delivering(engine, client):
        time.sleep(0.2)
        committed = time.time()
        _alert(engine)
        _until(lambda: bool(receiver.received))
        _until(lambda: _rows(engine)[0].delivered_at is not None)
    (got,) = receiver.received
    assert got.at - committed < 0.5
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    expected = hmac.new(base64.b64decode(SECRET[6:]), signed, hashlib.sha256).digest()
    assert got.headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()
    assert abs(int(got.headers["webhook-timestamp"]) - committed) < 5
    body = json.loads(got.body)
    assert body["type"] == "alert.opened"
    assert body["data"]["events"][0]["why"][0]["term"]


@pytest.mark.slow
def test_a_failing_receiver_gets_it_again_under_the_same_key(
    engine: sa.Engine, receiver: Receiver, client: httpx.Client
) -> None:
    """After 500, 302 and 429 the notification waits and comes again, until it is taken, always with one key."""
    _channel(engine, receiver.url)
    receiver.statuses = [500, 302, 429]
    with _delivering(engine, client):
        _alert(engine)
        for tries in range(1, 4):
            _until(partial(_tried, engine, tries))
            assert _rows(engine)[0].next_try_at > Wall().now_ms()
            _now(engine)
        _until(lambda: _rows(engine)[0].delivered_at is not None)
    assert len(receiver.received) == 4
    assert len({got.headers["webhook-id"] for got in receiver.received}) == 1
    assert len({got.body for got in receiver.received}) == 1
    assert _rows(engine)[0].last_error is None


def test_a_receiver_that_is_gone_is_not_tried_again(
    engine: sa.Engine, receiver: Receiver, client: httpx.Client
) -> None:
    """410 makes the notification dead at once; it stays visible with its reason."""
    _channel(engine, receiver.url)
    receiver.statuses = [410]
    with _delivering(engine, client):
        _alert(engine)
        _until(lambda: _rows(engine)[0].last_error is not None)
        time.sleep(0.2)
    (row,) = _rows(engine)
    assert (row.next_try_at, row.tries, row.delivered_at) == (NEVER_MS, 1, None)
    assert "410" in row.last_error
    assert len(receiver.received) == 1


def test_nobody_listening_is_tried_until_dead(engine: sa.Engine, client: httpx.Client) -> None:
    """A refused connection is retried MAX_TRIES times; then the notification is dead and says why."""
    _channel(engine, "http://127.0.0.1:1/")
    _alert(engine)
    with engine.begin() as connection:
        connection.execute(sa.update(outbox).values(tries=MAX_TRIES - 1))
    with _delivering(engine, client):
        _until(lambda: _rows(engine)[0].next_try_at == NEVER_MS)
    (row,) = _rows(engine)
    assert (row.tries, row.delivered_at) == (MAX_TRIES, None)
    assert "ConnectError" in row.last_error


def test_a_slow_receiver_holds_back_nobody_else(engine: sa.Engine, receiver: Receiver, client: httpx.Client) -> None:
    """With forty notifications waiting for a slow receiver, another channel still gets its own at once."""
    slow = Receiver(delay_s=0.4)
    _channel(engine, slow.url, "slow")
    with _delivering(engine, client):
        _alert(engine, "first", 40)
        _until(lambda: len(slow.received) == 2)
        _channel(engine, receiver.url, "fast")
        started = time.monotonic()
        _alert(engine, "second")
        _until(lambda: len(receiver.received) == 1)
        assert time.monotonic() - started < 1.0
    slow.close()


def test_two_processes_do_not_both_send(engine: sa.Engine, receiver: Receiver, client: httpx.Client) -> None:
    """Two deliveries on one state share the work; each of fifty notifications is sent exactly once."""
    _channel(engine, receiver.url)
    _alert(engine, "many", 50)
    with _delivering(engine, client), _delivering(engine, client):
        _until(lambda: all(row.delivered_at is not None for row in _rows(engine)), 30)
    keys = [got.headers["webhook-id"] for got in receiver.received]
    assert len(keys) == len(set(keys)) == 50


def test_what_a_dead_process_had_claimed_is_sent_by_another(engine: sa.Engine) -> None:
    """A claim is a lease: while it lasts nobody else takes the notification, afterwards anybody may."""
    _channel(engine, "http://127.0.0.1:1/")
    _alert(engine)
    now = Wall().now_ms()
    with engine.begin() as connection:
        (waiting,) = due(connection, now, set())
        assert claim(connection, waiting, now)
        assert not claim(connection, waiting, now)
        assert due(connection, now, set()) == []
        (again,) = due(connection, now + LEASE_MS, set())
        assert (again.key, again.tries) == (waiting.key, 2)
        settle(connection, again, Outcome(), now, 0.0)
        assert due(connection, now + 10 * LEASE_MS, set()) == []


def test_disabled_and_full_channels_wait(engine: sa.Engine) -> None:
    """Nothing is due for a channel that is switched off or has no free lane."""
    _channel(engine, "http://127.0.0.1:1/")
    _alert(engine)
    now = Wall().now_ms()
    with engine.begin() as connection:
        (waiting,) = due(connection, now, set())
        assert due(connection, now, {waiting.channel_id}) == []
        connection.execute(sa.text("UPDATE channel SET enabled = false"))
        assert due(connection, now, set()) == []


def test_backoff_grows_within_bounds() -> None:
    """Each wait doubles up to six hours, and jitter spreads it over its second half."""
    assert [backoff_s(tries, 1.0) for tries in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert backoff_s(3, 0.0) == 2
    assert backoff_s(MAX_TRIES + 50, 1.0) == 6 * 3600
