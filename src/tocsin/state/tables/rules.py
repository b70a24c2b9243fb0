"""The life of rules: versions, states, where they apply, what they found, and what hides it."""

from __future__ import annotations

import sqlalchemy as sa

from tocsin.state.tables.columns import METADATA, key, number, number_key, text, truth

__all__ = [
    "agent_tag",
    "rule_change",
    "rule_cost",
    "rule_hit",
    "rule_noise",
    "rule_state",
    "rule_version",
    "rules_in_use",
    "ruleset_assignment",
    "suppression",
]

# Every version of every rule that was applied; the newest counts, unless it says that the rule was removed.
rule_version = sa.Table(
    "rule_version",
    METADATA,
    key("org"),
    key("rule_id"),
    number_key("version"),
    text("ruleset"),
    text("path"),  # within the folder that was applied
    text("title"),
    text("content"),  # the YAML document
    text("digest"),
    text("author"),
    number("created_at"),
    truth("removed", default=False),
)

# What somebody, or a noise budget, has said about a rule; it wins over what the rule's file says.
rule_state = sa.Table(
    "rule_state",
    METADATA,
    key("org"),
    key("rule_id"),
    text("state"),  # active, staged, disabled, demoted
    text("reason", default=""),
    text("author"),
    number("changed_at"),
)

# Counts every change of what detectors must know; they look at it once a second.
rule_change = sa.Table("rule_change", METADATA, key("org"), number("number"), number("changed_at"))

# What a detector is running, and what it last refused to run.
rules_in_use = sa.Table(
    "rules_in_use",
    METADATA,
    key("org"),
    key("consumer"),
    number("change"),  # the number of the change that it has taken notice of
    number("rules"),
    number("loaded_at"),
    text("problem", nullable=True),
    number("problem_at", nullable=True),
)

rule_hit = sa.Table(
    "rule_hit",
    METADATA,
    key("org"),
    key("rule_id"),
    number_key("hour"),  # when it began, ms
    number("matches", default=0),
    number("alerts", default=0),
    number("staged", default=0),
    number("suppressed", default=0),
    sa.Index(None, "org", "hour"),
)

# What judging has cost since the detector started; of the whole server, so that `org` is EVERY_ORG.
rule_cost = sa.Table(
    "rule_cost",
    METADATA,
    key("org"),
    key("rule_id"),
    number("events"),  # that were judged while it was measured
    number("took_ns"),
    number("measured_at"),
)

# Alerts of a day, as far as they count against the rule's noise budget.
rule_noise = sa.Table("rule_noise", METADATA, key("org"), key("rule_id"), number_key("day"), number("alerts"))

agent_tag = sa.Table("agent_tag", METADATA, key("org"), key("agent_id"), key("name"), text("value"))

# A ruleset that is assigned applies to agents that have all tags of one of its rows; any other applies everywhere.
ruleset_assignment = sa.Table(
    "ruleset_assignment",
    METADATA,
    key("org"),
    key("ruleset"),
    key("tags"),  # name=value, sorted, with commas between
    text("author"),
    number("created_at"),
)

suppression = sa.Table(
    "suppression",
    METADATA,
    key("org"),
    key("id"),
    text("rule_id", default=""),  # of one rule; of all if empty
    text("expression"),
    text("owner"),
    text("reason"),
    number("expires_at"),
    text("author"),
    number("created_at"),
    text("removed_by", nullable=True),
    number("removed_at", nullable=True),
    number("hidden", default=0),  # matches that it has hidden
    number("last_hidden_at", nullable=True),
)
