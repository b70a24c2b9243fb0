"""How the server's own log looks: one line an event, in colours for a person, as JSON for a collector."""

from __future__ import annotations

import logging
import os
import sys

import structlog

__all__ = ["QUIET", "configure_log"]

QUIET = "TOCSIN_QUIET"  # set for a process whose terminal shows somebody else's words


def configure_log() -> None:
    """Log to standard error from INFO on, in a quiet process from WARNING on."""
    render: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING if QUIET in os.environ else logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
