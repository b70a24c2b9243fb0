"""What the routes work with; made once by the factory, passed to each."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from tocsin.api.attempts import Attempts
from tocsin.api.guard import Guard
from tocsin.detect.life.books import RuleBooks
from tocsin.detect.life.overview import Rules
from tocsin.ports import Clock, Query

__all__ = ["Backend"]


@dataclass(frozen=True)
class Backend:
    """State, events and time; the org that people log in to; what counts failed logins; where rules come from."""

    engine: sa.Engine
    query: Query
    clock: Clock
    org: str
    secure_cookies: bool = False  # true wherever the console is served over TLS
    attempts: Attempts = field(default_factory=Attempts)
    rules: Rules = field(default_factory=lambda: Rules(RuleBooks()))

    @property
    def guard(self) -> Guard:
        """Tells who calls."""
        return Guard(self.engine, self.clock)
