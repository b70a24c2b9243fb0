"""In the machine: the kernel's audit as it is (`state`), or its records as auditd writes them (`record`)."""

import json
import signal
import sys
from dataclasses import asdict

sys.path.insert(0, "/opt/tocsin-agent/lib")

from tocsin.agent.audit.control import AuditControl
from tocsin.agent.audit.netlink import AuditReceiver
from tocsin.normalize.auditd.tables import record_type

CHANGING = ("lost", "backlog", "backlog_wait_time_actual")
EOE = 1320


def state() -> None:
    """Print settings and number of rules, without what changes by itself."""
    control = AuditControl()
    status = {name: value for name, value in asdict(control.status()).items() if name not in CHANGING}
    sys.stdout.write(json.dumps({**status, "rules": len(control.rules())}) + "\n")


def record() -> None:
    """Write every record to standard output."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    receiver = AuditReceiver.listen()
    while True:
        for kind, text in receiver.receive(0.2):
            if kind != EOE:
                sys.stdout.write(f"type={record_type(kind)} msg={text.decode().rstrip(chr(0)).rstrip()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    {"state": state, "record": record}[sys.argv[1]]()
