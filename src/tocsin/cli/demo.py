"""`tocsin demo`: a captured intrusion, replayed; the alerts arrive in the console and here."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.settings import DataDirOption, load_settings

if TYPE_CHECKING:
    from rich.console import Console

    from tocsin.alert.read import Alert
    from tocsin.config import Settings

__all__ = ["add_to"]

_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "informational": "dim"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    data_dir: DataDirOption = None,
    port: Annotated[int, typer.Option(help="Port of the console.")] = 8321,
    over: Annotated[float, typer.Option(min=1, help="Seconds that the replay takes.")] = 20.0,
    stay: Annotated[bool, typer.Option(help="Keep the console running afterwards, until interrupted.")] = True,
) -> None:
    """Replay an intrusion that was captured on a real kernel; needs no root.

    A web shell, then discovery, credential access, persistence, exfiltration: watch the alerts arrive.
    """
    from rich.console import Console

    from tocsin.wiring.processes.log_format import configure_log
    from tocsin.wiring.processes.up import Up

    configure_log()
    folder = data_dir or Path(tempfile.mkdtemp(prefix="tocsin-demo-"))
    settings = load_settings(data_dir=folder, port=port, host="127.0.0.1", org="default")
    console = Console()

    def greeted(greeting: dict[str, str]) -> None:
        for name, value in greeting.items():
            console.print(f"  {name:<12} {value}", highlight=False, soft_wrap=True)
        threading.Thread(target=_play, args=(settings, console, over, stay), daemon=True).start()

    try:
        code = Up(settings, None, with_agent=False).run(greeted)
    finally:
        if data_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
    if code:
        raise typer.Exit(code)


def _play(settings: Settings, console: Console, over_s: float, stay: bool) -> None:
    from tocsin.alert import read
    from tocsin.state.engine import reading
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.processes.first_start import make_enrolment_token, open_server_state
    from tocsin.wiring.replay import Replay, demo_events

    clock = SystemClock()
    engine = open_server_state(settings, clock.now_ms())
    replay = Replay(settings.url)
    replay.enrol(make_enrolment_token(engine, settings.org, uses=1, hours=1, now_ms=clock.now_ms()))
    events = demo_events()
    console.print(f"\nreplaying {len(events)} recorded events over {over_s:g} s\n")
    sender = threading.Thread(target=replay.send, args=(events, over_s), daemon=True)
    sender.start()
    seen: dict[str, Alert] = {}
    quiet_since = time.monotonic()
    while sender.is_alive() or time.monotonic() - quiet_since < 3:  # noqa: PLR2004 -- seconds
        with reading(engine) as connection:
            found = read.page(connection, settings.org, read.Filter(), limit=200).alerts
        for alert in reversed(found):
            if alert.id not in seen:
                seen[alert.id] = alert
                quiet_since = time.monotonic()
                _print(console, alert)
        time.sleep(0.2)
    console.print(f"\n{len(seen)} alerts; look at them in the console" + (", stop with Ctrl-C" if stay else ""))
    if not stay:
        signal.raise_signal(signal.SIGTERM)


def _print(console: Console, alert: Alert) -> None:
    at = datetime.fromtimestamp(alert.first_event_at / 1000, UTC).strftime("%H:%M:%S")
    level = f"[{_STYLES.get(alert.level, '')}]{alert.level:<13}[/]"
    console.print(f"  {at}  {level} {alert.title}", highlight=False, soft_wrap=True)
