"""The tables of the state. All times are milliseconds since the epoch; the org is in every key that a person can reach.

A change here needs a migration beside it (`state/migrations`): a test compares the two.
"""

from __future__ import annotations

from tocsin.state.tables.alerts import alert, alert_event, channel, outbox
from tocsin.state.tables.archive import archive_file, archive_start
from tocsin.state.tables.columns import METADATA
from tocsin.state.tables.consumers import consumer_offset, consumer_taken, dead_letter
from tocsin.state.tables.fleet import agent, enrolment_token, ledger
from tocsin.state.tables.intel import EVERY_ORG, intel_block, intel_feed, intel_hunt
from tocsin.state.tables.people import login, org, user
from tocsin.state.tables.policies import policy_version
from tocsin.state.tables.rules import (
    agent_tag,
    rule_change,
    rule_cost,
    rule_hit,
    rule_noise,
    rule_state,
    rule_version,
    rules_in_use,
    ruleset_assignment,
    suppression,
)
from tocsin.state.tables.windows import window_head, window_mark, window_match, window_source, window_told

__all__ = [
    "EVERY_ORG",
    "METADATA",
    "agent",
    "agent_tag",
    "alert",
    "alert_event",
    "archive_file",
    "archive_start",
    "channel",
    "consumer_offset",
    "consumer_taken",
    "dead_letter",
    "enrolment_token",
    "intel_block",
    "intel_feed",
    "intel_hunt",
    "ledger",
    "login",
    "org",
    "outbox",
    "policy_version",
    "rule_change",
    "rule_cost",
    "rule_hit",
    "rule_noise",
    "rule_state",
    "rule_version",
    "rules_in_use",
    "ruleset_assignment",
    "suppression",
    "user",
    "window_head",
    "window_mark",
    "window_match",
    "window_source",
    "window_told",
]
