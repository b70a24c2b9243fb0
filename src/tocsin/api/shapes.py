"""The bodies of requests and answers, as OpenAPI describes them. Times are milliseconds since the epoch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tocsin.intel.lookup import Listed, Seen

__all__ = [
    "AgentBody",
    "AgentList",
    "AlertBody",
    "AlertDetail",
    "AlertList",
    "CloseRequest",
    "EventList",
    "EvidenceBody",
    "FeedBody",
    "FeedList",
    "HistogramBody",
    "HitsBody",
    "InUseBody",
    "LoginRequest",
    "LookupBody",
    "MetTermBody",
    "ProblemBody",
    "RuleBody",
    "RuleDetail",
    "RuleList",
    "SpanBody",
    "StateRequest",
    "StatusBody",
    "SuppressionBody",
    "SuppressionList",
    "SuppressionRequest",
    "TokenBody",
    "VersionBody",
]


class _Body(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ProblemBody(_Body):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class AlertBody(_Body):
    """An alert: one rule, one group, one window."""

    id: str
    rule_id: str
    rule_title: str
    title: str
    level: str = Field(description="critical, high, medium, low or informational")
    severity: int = Field(description="1 to 3, 1 being the highest")
    tags: list[str]
    origin: str = Field(description="Agent or account that the events come from")
    hostname: str
    group: dict[str, str] = Field(description="The rule's group-by fields and their values")
    window_start: int
    window_end: int
    first_event_at: int
    last_event_at: int
    event_count: int
    status: str = Field(description="open, acknowledged or closed; staged or suppressed if nobody was told")
    suppressed_by: str | None = Field(description="The suppression that hides it")
    assignee: str | None
    acknowledged_at: int | None
    closed_reason: str | None
    closed_at: int | None
    created_at: int
    updated_at: int


class MetTermBody(_Body):
    """A term of the rule that an event met."""

    field: str
    term: str
    value: str


class EvidenceBody(_Body):
    """An event that an alert is made of."""

    event_uid: str
    class_uid: int
    time: int
    event: dict[str, Any] = Field(description="The event in OCSF's nested form")
    met: list[MetTermBody] = Field(description="Why it fired")


class AlertDetail(_Body):
    """An alert with the events that it keeps."""

    alert: AlertBody
    evidence: list[EvidenceBody]


class AlertList(_Body):
    """A page of alerts, newest first."""

    alerts: list[AlertBody]
    cursor: str | None = Field(description="Where the next page begins; null after the last one")


class CloseRequest(_Request):
    """Why an alert is closed."""

    reason: str


class EventList(_Body):
    """A page of events in OCSF's nested form, newest first."""

    events: list[dict[str, Any]]
    cursor: str | None = Field(description="Where the next page begins; null after the last one")


class SpanBody(_Body):
    """Events in one span of time."""

    start: int
    count: int


class HistogramBody(_Body):
    """Matching events over time, empty spans included."""

    spans: list[SpanBody]
    total: int


class AgentBody(_Body):
    """An enrolled agent, and what it last said about its machine and itself."""

    id: str
    hostname: str
    enrolled_at: int
    last_seen_at: int | None
    boot_id: str
    host: dict[str, Any] | None
    health: dict[str, Any] | None
    revoked_at: int | None = Field(description="ms; from then on nothing is taken from it")
    cloned_from: str | None = Field(description="the agent with whose state folder it began")
    state: str = Field(description="online, offline, revoked or never seen")


class AgentList(_Body):
    """All agents, by host name."""

    agents: list[AgentBody]


class StatusBody(_Body):
    """The state of the server in numbers."""

    version: str
    org: str
    caller: str
    alerts: dict[str, int] = Field(description="Alerts by status")
    agents: dict[str, int] = Field(description="Agents by state")
    notifications: dict[str, int] = Field(description="Notifications: waiting, delivered, dead")
    dead_letters: int


class LoginRequest(_Request):
    """Name and password of a person."""

    name: str
    password: str


class TokenBody(_Body):
    """A bearer token; it is shown once."""

    token: str
    expires_at: int


class RuleBody(_Body):
    """A rule or correlation, its state, and its hits of the last seven days."""

    id: str
    title: str
    kind: str = Field(description="rule or correlation")
    level: str
    severity: int = Field(description="1 to 3, 1 being the highest")
    ruleset: str
    logsource: str
    tags: tuple[str, ...]
    state: str = Field(description="active, staged, demoted or disabled")
    state_reason: str
    state_by: str = Field(description="Who gave it that state; empty if its file says so")
    noise_budget: int | None = Field(description="Alerts a day that its file allows it")
    include: tuple[str, ...] = Field(description="Tags of which an agent must have one")
    exclude: tuple[str, ...] = Field(description="Tags of which an agent must have none")
    matches: int
    alerts: int
    staged: int
    suppressed: int
    last_hour: int | None = Field(description="When the last hour with a match began")
    cost_ms: float | None = Field(description="What judging has taken since the detector started, estimated")
    version: int | None = Field(description="Of an applied rule")
    path: str
    line: int


class InUseBody(_Body):
    """What a detector runs, and what it last refused to run."""

    consumer: str
    rules: int
    loaded_at: int
    problem: str | None
    problem_at: int | None


class RuleList(_Body):
    """All rules, by title."""

    rules: list[RuleBody]
    refused: list[str] = Field(description="Why others cannot be used")
    in_use: list[InUseBody]


class HitsBody(_Body):
    """Matches of an hour, and what became of them."""

    hour: int = Field(description="When it began")
    matches: int
    alerts: int
    staged: int
    suppressed: int


class VersionBody(_Body):
    """A version of an applied rule."""

    version: int
    ruleset: str
    path: str
    digest: str
    author: str
    created_at: int
    removed: bool
    content: str


class RuleDetail(_Body):
    """A rule, its matches by the hour for seven days, and its versions, newest first."""

    rule: RuleBody
    hits: list[HitsBody]
    versions: list[VersionBody]


class StateRequest(_Request):
    """What is to become of a rule's matches."""

    state: Literal["active", "staged", "disabled"]
    reason: str = ""


class SuppressionBody(_Body):
    """What is hidden, and who answers for it until when."""

    id: str
    state: str = Field(description="in force, expired or removed")
    rule_id: str = Field(description="The one rule that it is for; empty: all")
    expression: str
    owner: str
    reason: str
    expires_at: int = Field(description="Events from this time on are not hidden")
    author: str
    created_at: int
    removed_by: str | None
    removed_at: int | None
    hidden: int = Field(description="Matches that it has hidden")
    last_hidden_at: int | None


class SuppressionList(_Body):
    """All suppressions, newest first."""

    suppressions: list[SuppressionBody]


class SuppressionRequest(_Request):
    """A suppression; all of it is needed but the rule."""

    expression: str = Field(max_length=20_000)
    owner: str = Field(max_length=200)
    reason: str = Field(max_length=2_000)
    expires_at: int
    rule_id: str = Field("", max_length=200)


class FeedBody(_Body):
    """A feed of indicators, or a warning list."""

    name: str
    format: str
    location: str
    level: str = Field(description="Level of its alerts, lowered where it is less confident")
    shared: bool = Field(description="Whether all orgs of the server have it")
    warns: bool = Field(description="A warning list: it hides indicators of feeds")
    fetched_at: int | None = Field(description="When it could last be read")
    error: str | None = Field(description="Why the last try failed; what it listed before stays")
    kinds: dict[str, int] = Field(description="Indicators by kind")
    hidden: dict[str, int] = Field(description="Indicators that are hidden, by warning list")
    refused: int = Field(description="What could not be read as an indicator")
    history: float | None = Field(description="How much of history has been searched for what was new, 0 to 1")


class FeedList(_Body):
    """All feeds, by name."""

    feeds: list[FeedBody]


class LookupBody(_Body):
    """One value in all feeds."""

    listed: list[Listed]
    seen: list[Seen]
