"""How far time has come."""

from __future__ import annotations

from tocsin.detect.window.watermark import Patience, Source, Sources

NOW = 1_000_000


def _sources(**heard: tuple[int, int]) -> Sources:
    sources = Sources(Patience(lateness_ms=100, idle_ms=1_000))
    for origin, (seen_until, heard_at) in heard.items():
        sources.hear("org", origin, Source(seen_until, heard_at))
    return sources


def test_the_slowest_origin_decides() -> None:
    """What one host has sent does not make another host's events late."""
    assert _sources(fast=(NOW, NOW), slow=(NOW - 500, NOW)).watermarks(NOW) == {"org": NOW - 600}


def test_a_quiet_origin_is_not_waited_for() -> None:
    """After a while without a word from it, the others go on."""
    sources = _sources(quiet=(NOW - 5_000, NOW - 1_001), live=(NOW, NOW))
    assert sources.watermarks(NOW) == {"org": NOW - 100}


def test_when_all_are_quiet_time_goes_on_with_the_clock() -> None:
    """The last matches of a day are settled, too."""
    assert _sources(one=(NOW - 10, NOW)).watermarks(NOW + 5_000) == {"org": NOW - 10 + 5_000 - 100}


def test_a_clock_that_is_ahead_makes_nobody_late() -> None:
    """Events from the future do not move time beyond now."""
    assert _sources(ahead=(NOW + 10**9, NOW)).watermarks(NOW) == {"org": NOW - 100}


def test_an_origin_that_comes_back_holds_time_back() -> None:
    """Its old events are kept until it has caught up."""
    sources = _sources(live=(NOW, NOW))
    sources.hear("org", "back", Source(NOW - 3_600_000, NOW))
    assert sources.watermarks(NOW) == {"org": NOW - 3_600_100}
