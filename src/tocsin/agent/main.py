"""The agent's command line: `tocsin-agent`, which `tocsin agent` calls."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.agent.config import DEFAULT_FILE, DEFAULT_STATE_DIR, read_config
from tocsin.model.errors import InvalidSetting, TocsinError, WrongState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tocsin.agent.identity import Identity
    from tocsin.agent.operate.health import Report

__all__ = ["main"]

HEALTHY, UNHEALTHY, NOT_RUNNING, USED_WRONGLY = 0, 1, 2, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 well, 1 not well, 2 not running or used wrongly."""
    arguments = _parser().parse_args(argv)
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        return command(arguments)
    except TocsinError as error:
        sys.stderr.write(f"tocsin-agent: {error}\n")
        return USED_WRONGLY if isinstance(error, WrongState) else UNHEALTHY


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tocsin-agent", description="Collects what this host does and ships it.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    enroll = _command(commands, "enroll", _enroll, "make this host known to a server")
    enroll.add_argument("--server", required=True, help="URL of the server, such as https://tocsin.example:8321")
    enroll.add_argument("--token", required=True, help="one-time token from the server")
    enroll.add_argument("--ca", type=Path, help="PEM file of the authority to trust for the server's certificate")
    _command(commands, "run", _run, "collect and ship until stopped; needs root")
    for name, command, about in (("status", _status, "how the agent is"), ("doctor", _doctor, "find what is wrong")):
        _command(commands, name, command, about).add_argument("--json", action="store_true", help="print JSON")
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    command: Callable[[argparse.Namespace], int],
    about: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(command=command)
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, help=f"settings (default {DEFAULT_FILE})")
    parser.add_argument("--state-dir", type=Path, help=f"key, spool and health (default {DEFAULT_STATE_DIR})")
    return parser


# Each command imports what it alone needs: the running agent should hold no more than it uses.


def _enroll(arguments: argparse.Namespace) -> int:
    from tocsin.agent.enroll import enroll  # noqa: PLC0415 - see above

    config = read_config(arguments.config, arguments.state_dir)
    ca = _read(arguments.ca) if arguments.ca else ""
    identity = enroll(arguments.server, arguments.token, config.state_dir, ca)
    _say(f"enrolled as agent {identity.agent_id} of {identity.org}; start it with `tocsin agent run`")
    return HEALTHY


def _read(ca: Path) -> str:
    try:
        return ca.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a PEM file"
        raise InvalidSetting(f"{ca}: {reason}") from error


def _run(arguments: argparse.Namespace) -> int:
    from tocsin.agent.operate.memory import forget_files, one_arena  # noqa: PLC0415 - see above

    one_arena()
    from tocsin.agent.enroll import host_facts, own_identity  # noqa: PLC0415 - see above
    from tocsin.agent.identity import load_identity  # noqa: PLC0415 - see above
    from tocsin.agent.operate.alone import alone  # noqa: PLC0415 - see above
    from tocsin.agent.operate.supervised import end_with_supervisor  # noqa: PLC0415 - see above

    forget_files()  # what the start of cryptography and TLS has touched; the most that is ever held counts
    from tocsin.agent.run import Agent  # noqa: PLC0415 - see above

    end_with_supervisor()
    config = read_config(arguments.config, arguments.state_dir)
    enrolled = load_identity(config.state_dir)  # first, since without one there may be no folder to hold
    with alone(config.state_dir):
        _tell_clone(own_identity(config.state_dir, host_facts()["machine_id"]), enrolled)
        Agent(config).run()
    return HEALTHY


def _tell_clone(identity: Identity, enrolled: Identity) -> None:
    if identity.agent_id != enrolled.agent_id:
        _say(f"this machine is a clone of agent {enrolled.agent_id}'s; it is agent {identity.agent_id} from now on")


def _status(arguments: argparse.Namespace) -> int:
    from tocsin.agent.operate.health import is_running, read_report  # noqa: PLC0415 - see above
    from tocsin.agent.operate.report import render, to_json  # noqa: PLC0415 - see above

    report = read_report(read_config(arguments.config, arguments.state_dir).state_dir)
    running = report is not None and is_running(report)
    _say(to_json(report, running=running) if arguments.json else render(report, running=running, now_s=time.time()))
    return _exit_code(report) if running else NOT_RUNNING


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _exit_code(report: Report | None) -> int:
    return HEALTHY if report is not None and report.healthy else UNHEALTHY


def _doctor(arguments: argparse.Namespace) -> int:
    from tocsin.agent.operate.doctor import examine  # noqa: PLC0415 - see above
    from tocsin.agent.operate.report import render_findings  # noqa: PLC0415 - see above

    findings = examine(read_config(arguments.config, arguments.state_dir))
    _say(render_findings(findings, as_json=arguments.json))
    return HEALTHY if all(finding.healthy for finding in findings) else UNHEALTHY


if __name__ == "__main__":
    sys.exit(main())
