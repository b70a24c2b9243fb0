"""Send the spool's batches to the server, in order, each until it is acknowledged.

What has piled up is sent many batches at a time: twice as many after each success, one after anything else, so that
whatever is wrong with a batch is answered to that batch alone.
"""

from __future__ import annotations

import base64
import random
import threading
import time
from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.deliver.certificate import WANTED
from tocsin.model.errors import InvalidSetting, TryLater

if TYPE_CHECKING:
    from tocsin.agent.deliver.certificate import ClientCertificate
    from tocsin.agent.deliver.segment import Entry
    from tocsin.agent.deliver.spool import Spool
    from tocsin.agent.deliver.transport import Answer, Transport
    from tocsin.agent.identity import Identity
    from tocsin.agent.operate.health import Health
    from tocsin.agent.policy.delivered import Follower
    from tocsin.model.wire import Signer

__all__ = ["Shipper"]

BATCH_HEADERS: Final = {"Content-Type": "application/vnd.tocsin.batch"}
BATCHES_HEADERS: Final = {"Content-Type": "application/vnd.tocsin.batches"}
MOST_TOGETHER: Final = 64
MOST_BYTES: Final = 512 << 10  # of several in one request: the agent's memory is small
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 30.0
REPORT_INTERVAL_S: Final = 30.0
IDLE_S: Final = 0.5

OK, BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, TOO_LARGE = 200, 400, 401, 403, 404, 409, 413


class _Receipt(msgspec.Struct, frozen=True):
    next: int
    epoch: int = -1
    policy: str | None = None  # which policies the server wants; None from one that knows none


class Shipper(threading.Thread):
    """The thread that sends. `stop` ends it; what it has not sent stays in the spool."""

    def __init__(
        self,
        spool: Spool,
        transport: Transport,
        identity: Identity,
        signer: Signer,
        health: Health,
        follower: Follower,
        certificate: ClientCertificate | None = None,
    ) -> None:
        super().__init__(name="ship", daemon=True)
        self.online = True
        self._spool, self._transport, self._identity = spool, transport, identity
        self._signer, self._health, self._follower = signer, health, follower
        self._certificate = certificate
        self._stopping = threading.Event()
        self._pause_s = FIRST_PAUSE_S
        self._together, self._most_together = 1, MOST_TOGETHER
        self._reported_at = float("-inf")

    def run(self) -> None:
        while not self._stopping.is_set():
            self._send_next()
            self._renew()
            self._report()
            self._follow()

    def report_soon(self) -> None:
        """Something has changed that people wait to hear of."""
        self._reported_at = float("-inf")

    def stop(self, within_s: float) -> None:
        """Send what can be sent in that time, then end."""
        deadline = time.monotonic() + within_s
        while self.online and self._spool.waiting and time.monotonic() < deadline and self.is_alive():
            time.sleep(0.01)
        self._stopping.set()
        self.join(max(deadline - time.monotonic(), 0.1))
        self._transport.close()

    def _send_next(self) -> None:
        waiting = self._spool.next_together(IDLE_S, self._together, MOST_BYTES)
        if not waiting:
            return
        entries = [entry for entry, _ in waiting]
        try:
            answer = self._post([envelope for _, envelope in waiting])
        except TryLater as error:
            self._back_off(str(error))
            return
        if len(entries) == 1 or answer.status == OK:
            self._take(answer, entries)
        else:
            self._separate(answer)

    def _post(self, envelopes: list[bytes]) -> Answer:
        if len(envelopes) == 1:
            return self._transport.post("/ingest/batch", envelopes[0], BATCH_HEADERS)
        return self._transport.post("/ingest/batches", msgspec.msgpack.encode(envelopes), BATCHES_HEADERS)

    def _separate(self, answer: Answer) -> None:
        """Nothing of these was taken: sent one by one, the answer to the first of them says what to do."""
        self._together = 1
        if answer.status == NOT_FOUND:  # an older server
            self._most_together = 1

    def _take(self, answer: Answer, entries: list[Entry]) -> None:
        entry = entries[-1]
        if answer.status == OK:
            self._acknowledge(answer, entries)
        elif answer.status == CONFLICT:
            self._health.ship(f"the server has other batches of this epoch ({answer.detail}); starting a new one")
            self._spool.rebase(max(entry.epoch + 1, int(time.time())))
        elif answer.status in {BAD_REQUEST, TOO_LARGE}:
            self._health.count("refused", entry.rows)
            self._spool.bury(entry)
        elif answer.title == WANTED and self._certificate and self._certificate.renew(self._post_signed):
            pass  # sent again, with the certificate
        elif answer.status in {UNAUTHORIZED, FORBIDDEN}:
            self._back_off(f"the server does not accept this agent: {answer.detail or answer.status}; enrol it again")
        else:
            self._back_off(f"the server answered {answer.status} {answer.detail}".rstrip(), answer.retry_after_s)

    def _acknowledge(self, answer: Answer, entries: list[Entry]) -> None:
        entry = entries[-1]
        try:
            receipt = msgspec.json.decode(answer.body, type=_Receipt)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._back_off("the server's answer to a batch is not a receipt; is the URL Tocsin's?")
            return
        if receipt.next <= entry.sequence:
            self._back_off(f"the server acknowledged only up to batch {receipt.next}, not {entry.sequence}")
            return
        self._spool.acknowledge(entry.epoch, receipt.next)
        self._health.shipped(sum(each.rows for each in entries))
        self._together = min(self._together * 2, self._most_together)
        self._follower.hear(receipt.policy)
        self.online, self._pause_s = True, FIRST_PAUSE_S

    def _back_off(self, reason: str, at_least_s: float = 0.0) -> None:
        """Wait, longer each time, and not all agents at once."""
        self.online, self._together = False, 1
        self._health.ship(reason)
        self._stopping.wait(max(self._pause_s * random.uniform(0.5, 1.0), at_least_s))  # noqa: S311 - jitter
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def _renew(self) -> None:
        """Renew the client certificate in time."""
        if self._certificate is not None and self._certificate.is_due:
            self._certificate.renew(self._post_signed)
            if self._certificate.trouble:
                self._health.ill("certificate", self._certificate.trouble)
            else:
                self._health.well("certificate")

    def _report(self) -> None:
        """Tell the server how the agent is, now and then; nothing depends on its arrival."""
        now = time.monotonic()
        if not self.online or now - self._reported_at < REPORT_INTERVAL_S:
            return
        self._reported_at = now
        try:
            self._post_signed("/ingest/health", msgspec.json.encode(self._health.snapshot()))
        except TryLater as error:
            self._health.ship(str(error))

    def _follow(self) -> None:
        """Fetch the policies that the server wants, or ask which if nothing has said so for a while."""
        if not (self.online and self._follower.is_due):
            return
        try:
            answer = self._post_signed("/ingest/policy", self._follower.ask())
            if answer.status == OK:
                self._follower.take(answer.body)
        except TryLater as error:
            self._health.ship(str(error))
        except (InvalidSetting, OSError) as error:  # not an answer of Tocsin's, or no room to keep it
            self._health.ill("policy", str(error))

    def _post_signed(self, path: str, body: bytes) -> Answer:
        headers = {
            "Content-Type": "application/json",
            "Tocsin-Org": self._identity.org,
            "Tocsin-Agent": self._identity.agent_id,
            "Tocsin-Signature": base64.b64encode(self._signer.sign(body)).decode(),
        }
        return self._transport.post(path, body, headers)
