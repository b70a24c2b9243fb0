"""What a server, if there is one, has seen of the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tocsin.cli.period import milliseconds

if TYPE_CHECKING:
    from tocsin.config import Settings
    from tocsin.detect.quality.experience import Experience

__all__ = ["has_server", "seen_rules"]


def has_server(settings: Settings) -> bool:
    """Has a server been started with these settings?"""
    return bool(settings.state_url) or (settings.data_dir / "state.db").exists()


def seen_rules(settings: Settings, last: str) -> dict[str, Experience] | None:
    """What is known of each rule from the last time, by id; None if no server was ever started here."""
    from tocsin.detect.quality.experience import experiences
    from tocsin.state.engine import reading
    from tocsin.wiring.clock import SystemClock
    from tocsin.wiring.processes.first_start import open_server_state

    since = milliseconds(last)
    if not has_server(settings):
        return None
    now = SystemClock().now_ms()
    with reading(open_server_state(settings, now)) as connection:
        return experiences(connection, settings.org, now - since)
