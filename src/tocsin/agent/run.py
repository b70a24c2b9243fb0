"""The agent's loop: receive, capture, batch, spool; the shipping thread sends."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

import tocsin
from tocsin.agent.audit.rule_set import login_homes, read_rules
from tocsin.agent.audit.rules import RuleFile
from tocsin.agent.audit.session import AuditSession, Limits
from tocsin.agent.capture import Capture
from tocsin.agent.deliver.batcher import Batcher
from tocsin.agent.deliver.certificate import ClientCertificate
from tocsin.agent.deliver.mark import MarkFile
from tocsin.agent.deliver.ship import Shipper
from tocsin.agent.deliver.spool import Spool
from tocsin.agent.deliver.transport import Transport
from tocsin.agent.enroll import host_facts
from tocsin.agent.host.enrich import Enricher
from tocsin.agent.host.environment import Environment
from tocsin.agent.host.processes import ProcessTable, identity_prefix
from tocsin.agent.host.users import Users
from tocsin.agent.identity import load_identity, load_key
from tocsin.agent.operate.health import Health
from tocsin.agent.operate.memory import give_back, settle
from tocsin.agent.operate.told import Told, tell
from tocsin.agent.policy.delivered import Follower
from tocsin.agent.policy.enforce import Enforcer
from tocsin.agent.policy.live import LivePolicy
from tocsin.agent.redact import Redactor
from tocsin.agent.sensor import Sensor, Sensors

if TYPE_CHECKING:
    from types import FrameType

    from tocsin.agent.audit.control import AuditStatus
    from tocsin.agent.config import Config
    from tocsin.agent.identity import Identity
    from tocsin.model.event import Value

__all__ = ["Agent"]

TICK_S: Final = 1.0
SELDOM_S: Final = 15.0
SHIP_AT_STOP_S: Final = 3.0
DRAIN_AT_STOP_S: Final = 1.0


class Agent:
    """The running agent; `run` returns when it was told to stop."""

    def __init__(self, config: Config) -> None:
        identity = load_identity(config.state_dir)
        signer = load_key(config.state_dir)
        host = host_facts()
        self._config, self._server, self._told = config, identity.server, Told()
        self._health = Health(tocsin.__version__)
        self._spool = Spool(config.state_dir / "spool", config.spool, identity, signer, host["boot_id"])
        self._redactor = Redactor(config.redact.patterns, defaults=config.redact.defaults)
        follower, users = Follower(config.state_dir), Users()
        processes = ProcessTable(self._redactor.clean, host["boot_id"])
        environment = Environment(config.audit.environment, self._redactor.clean)
        self._capture = Capture(Enricher(processes, users, environment), self._redactor, self._health)
        self._batcher = Batcher(self._spool, signer, config.batch, _host_values(identity, host), self._health)
        self._mark = MarkFile(config.state_dir, host["boot_id"])
        self._batcher.flushed = self._note_spooled
        live = LivePolicy(config.policy, salt=identity.agent_id, uid_of=users.uid)
        self._enforcer = Enforcer(live, follower, self._capture, self._redactor, self._batcher, self._health)
        transport = Transport(identity.server, identity.ca)
        certificate = ClientCertificate(config.state_dir, signer, transport)
        self._shipper = Shipper(self._spool, transport, identity, signer, self._health, follower, certificate)
        self._sensors = self._capture.sensors = open_sensors(config, host["boot_id"])
        self._totals: dict[str, int] = {}
        self._homes: list[str] | None = None
        self._rules = RuleFile((), ())
        self._stopping = self._handing_over = False
        self._ticked_at = self._rules_at = float("-inf")

    def run(self) -> None:
        """Collect and ship until SIGTERM or SIGINT; then ship what can be shipped and restore the kernel's audit.

        On SIGUSR1 the same, but the kernel goes on recording: another agent, as of a newer version, follows at once.

        Raises:
            NotAllowed: the process may not use the kernel's audit.
        """
        session = self._open_session()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_soon)
        signal.signal(signal.SIGUSR1, self._hand_over_soon)
        self._shipper.start()
        try:
            session = self._tick(session)
            settle()
            while not self._stopping:
                session = self._step(session)
        finally:
            self._finish(session)

    def _stop_soon(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stopping = True

    def _hand_over_soon(self, number: int, frame: FrameType | None) -> None:
        self._handing_over = True
        self._stop_soon(number, frame)

    def _open_session(self) -> AuditSession:
        audit = self._config.audit
        session = AuditSession.start(self._config.state_dir, Limits.of(audit))
        session.receiver.wake_by(self._sensors.descriptors)
        status = session.control.status()
        self._totals = {"kernel_lost": status.lost, "backlog_wait_jiffies": status.backlog_wait_time_actual}
        self._resume(status)
        self._rules_at = float("-inf")
        role = "owner of the kernel's audit" if session.owner else f"listens beside process {status.pid}"
        tell(f"ships to {self._server}, state in {self._config.state_dir}; {role}")
        return session

    def _step(self, session: AuditSession) -> AuditSession:
        due_s = self._batcher.due_in_s(online=self._shipper.online)
        records = session.receiver.receive(min(max(due_s, 0.0), TICK_S))
        while records:
            self._health.count("records", len(records))
            captured = self._capture.take(records, _now_ms())
            self._sensors.hear(captured)
            self._batcher.add(captured)
            records = session.receiver.drain() if len(records) == session.receiver.slots else []
        seen = self._sensors.read(_now_ms())
        admitted = self._capture.admit(seen)
        self._sensors.hear(admitted)
        self._batcher.add(admitted)
        session.receiver.keep_pace(len(seen))
        # Everything that has come is taken in: what is incomplete now is so by its nature.
        self._batcher.add(self._capture.expire(_now_ms()))
        self._enforcer.lose_not_kept()
        # At the awakening that is nearest to when the batch is due, be it a little early.
        if self._batcher.due_in_s(online=self._shipper.online) <= session.receiver.pause_s / 2:
            self._count_gaps()
            self._batcher.flush()
        if time.monotonic() - self._ticked_at >= TICK_S:
            return self._tick(session)
        return session

    def _tick(self, session: AuditSession) -> AuditSession:
        """What is done once a second, whatever happens."""
        self._ticked_at = time.monotonic()
        if self._enforcer.tick(session):
            self._shipper.report_soon()
        self._load_rules(session)
        status = session.control.status()
        self._count_losses(session, status)
        for reason, count in self._sensors.tick(_now_ms(), self._health).items():
            self._health.count(reason, count)
            self._batcher.lose(reason, count)
        if self._batcher.not_kept:  # so that the server learns it when no event comes, too
            self._batcher.flush()
        self._spool.tick()
        self._tell_health(session, status)
        self._health.write(self._config.state_dir)
        self._told.changes(self._health.snapshot().modules)
        if not session.owner and not status.pid:  # the daemon that owned the audit has gone
            session.stop()
            return self._open_session()
        return session

    def _resume(self, status: AuditStatus) -> None:
        """Count what an agent that was killed took with it, and what came until now."""
        left = self._mark.left()
        if left is not None and self._capture.settled is None:
            self._capture.resume(left.serial)
            self._totals["kernel_lost"] = min(left.kernel_lost, status.lost)

    def _note_spooled(self) -> None:
        """All that was given to the batcher is in the spool."""
        self._sensors.spooled()
        told = self._capture.serial_gaps == self._totals.get("serial_gaps", 0)
        if told and (serial := self._capture.settled) is not None:
            self._mark.write(serial, self._totals["kernel_lost"])

    def _count_losses(self, session: AuditSession, status: AuditStatus) -> None:
        """Note what is lost since the last time; the next batch says so."""
        self._note("backlog_wait_jiffies", status.backlog_wait_time_actual)
        self._batcher.lose("kernel_lost", self._note("kernel_lost", status.lost))
        self._count_gaps()
        self._note("receive_overruns", session.receiver.overruns)
        self._note("redacted", self._redactor.count)

    def _count_gaps(self) -> None:
        self._batcher.lose("serial_gaps", self._note("serial_gaps", self._capture.serial_gaps))

    def _note(self, counter: str, total: int) -> int:
        """Add to a counter by how much its source has grown; a source that was set back starts over."""
        grown = total - self._totals.get(counter, 0)
        self._totals[counter] = total
        if grown < 0:
            grown = total
        self._health.count(counter, grown)
        return grown

    def _load_rules(self, session: AuditSession) -> None:
        """Load the rules, and now and then those that waited for their path, or for a person's home."""
        if time.monotonic() - self._rules_at < SELDOM_S:
            return
        self._rules_at = time.monotonic()
        give_back()
        homes = login_homes()
        if homes != self._homes:
            self._homes, self._rules = homes, read_rules(self._config.audit.rule_files, homes)
        self._enforcer.exclude(session)  # some may have waited for their path
        rules = [*self._rules.rules, *self._sensors.rules(self._rules.rules)]
        loaded = session.load(rule for rule in rules if not self._sensors.replace(rule))
        refused = [*map(str, self._rules.invalid), *session.refused]
        if not session.owner:
            self._health.well("rules", "left to the daemon that owns the audit")
        elif refused:
            self._health.ill("rules", f"{loaded} loaded; refused: {'; '.join(refused)}")
        else:
            self._health.well("rules", f"{loaded} loaded, {len(session.absent)} wait for their path")

    def _tell_health(self, session: AuditSession, status: AuditStatus) -> None:
        if session.owner and status.pid != os.getpid():
            self._health.ill("audit", f"process {status.pid} has taken the kernel's audit away")
        elif not status.enabled:
            self._health.ill("audit", "auditing is switched off in the kernel")
        elif session.switched_on:
            self._health.well("audit", "owner; processes that are older than this are not recorded: boot with audit=1")
        elif session.owner:
            self._health.well("audit", "owner of the kernel's audit")
        else:
            self._health.well("audit", f"listening beside process {status.pid}")
        self._health.gauge("backlog", status.backlog)
        self._health.gauge("spool_bytes", self._spool.size_bytes)
        self._health.gauge("spool_batches", self._spool.waiting)
        if self._spool.trouble:
            self._health.ill("spool", self._spool.trouble)
        elif self._spool.damaged_bytes:
            self._health.ill("spool", f"{self._spool.damaged_bytes} bytes could not be read at the start")
        else:
            self._health.well("spool")

    def _finish(self, session: AuditSession) -> None:
        """Take in what is on its way, ship what the time allows, restore the kernel unless another agent follows."""
        if not self._handing_over:
            self._capture.expect(session.release())
        self._take_in_the_rest(session)
        self._count_losses(session, session.control.status())
        if self._handing_over:
            session.leave()
        else:
            session.stop()
        self._batcher.flush()
        self._spool.close()
        self._shipper.stop(SHIP_AT_STOP_S)
        self._spool.close()
        if not self._handing_over:
            self._mark.remove()
        self._health.write(self._config.state_dir)

    def _take_in_the_rest(self, session: AuditSession) -> None:
        deadline = time.monotonic() + DRAIN_AT_STOP_S
        while (records := session.receiver.receive(0.05)) and time.monotonic() < deadline:
            self._batcher.add(self._capture.take(records, _now_ms()))
        self._batcher.add(self._capture.flush())
        self._sensors.finish()
        self._batcher.add(self._capture.admit(self._sensors.read(_now_ms())))
        self._sensors.close()
        self._enforcer.lose_not_kept()


def open_sensors(config: Config, boot_id: str) -> Sensors:
    """The sensors that the settings ask for; each is imported only then."""
    sensors: list[Sensor] = []
    if config.ebpf.enabled:
        from tocsin.agent.bpf.sensor import open_sensor  # noqa: PLC0415 - see above

        sensors.append(open_sensor(config.ebpf, boot_id))
    if config.files.enabled:
        from tocsin.agent.files.sensor import FileSensor  # noqa: PLC0415 - see above

        sensors.append(FileSensor(config.files, config.state_dir))
    if config.names.enabled:
        from tocsin.agent.names.sensor import NameSensor  # noqa: PLC0415 - see above

        sensors.append(NameSensor(config.names, identity_prefix(boot_id)))
    if config.inventory.enabled:
        from tocsin.agent.inventory.sensor import InventorySensor  # noqa: PLC0415 - see above

        sensors.append(InventorySensor(config.inventory, config.state_dir))
    if config.logs.enabled:
        from tocsin.agent.logs.sensor import LogSensor  # noqa: PLC0415 - see above

        sensors.append(LogSensor(config.logs, config.state_dir))
    return Sensors(sensors)


def _host_values(identity: Identity, host: dict[str, str]) -> dict[str, Value]:
    """What is the same for every event of this host; carried once per batch."""
    return {
        "device.hostname": socket.gethostname(),
        "device.uid": identity.agent_id,
        "device.os.version": host["os_version"],
        "device.os.kernel_release": host["kernel"],
        "device.boot_uid": host["boot_id"],
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
