"""The routes under /rules."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter

from tocsin.api.given import PROBLEMS, Back, Who
from tocsin.api.shapes import HitsBody, InUseBody, RuleBody, RuleDetail, RuleList, StateRequest, VersionBody
from tocsin.model.errors import NotFound
from tocsin.model.life import State
from tocsin.state.engine import reading
from tocsin.state.life.hits import DAY_MS, hits_by_hour
from tocsin.state.life.states import Given, give_state
from tocsin.state.life.versions import history

__all__ = ["router"]

router = APIRouter(prefix="/rules", tags=["rules"], responses=PROBLEMS)
_DAYS = 7


@router.get("")
def list_rules(backend: Back, who: Who) -> RuleList:
    """Rules of the caller's org, by title, with their states and the hits of seven days."""
    with reading(backend.engine) as connection:
        found = backend.rules.overview(connection, who.org, backend.clock.now_ms())
    rules = [RuleBody.model_validate(rule) for rule in found.rules]
    in_use = [InUseBody.model_validate(running) for running in found.in_use]
    return RuleList(rules=rules, refused=found.refused, in_use=in_use)


@router.get("/{rule_id}")
def show_rule(rule_id: str, backend: Back, who: Who) -> RuleDetail:
    """One rule, its matches by the hour, and its versions if it was applied."""
    now_ms = backend.clock.now_ms()
    with reading(backend.engine) as connection:
        rule = backend.rules.one(connection, who.org, rule_id, now_ms)
        by_hour = hits_by_hour(connection, who.org, rule_id, now_ms - _DAYS * DAY_MS)
        try:
            versions = history(connection, who.org, rule_id)
        except NotFound:
            versions = []
    hits = [HitsBody(hour=hour, **msgspec.structs.asdict(counted)) for hour, counted in by_hour.items()]
    kept = [VersionBody.model_validate(version) for version in versions]
    return RuleDetail(rule=RuleBody.model_validate(rule), hits=hits, versions=kept)


@router.post("/{rule_id}/state")
def change_state(rule_id: str, body: StateRequest, backend: Back, who: Who) -> RuleBody:
    """Say what is to become of a rule's matches; detectors follow within seconds."""
    now_ms = backend.clock.now_ms()
    with backend.engine.begin() as connection:
        backend.rules.one(connection, who.org, rule_id, now_ms)
        give_state(connection, who.org, rule_id, Given(State(body.state), body.reason, who.name, now_ms))
        changed = backend.rules.one(connection, who.org, rule_id, now_ms)
    return RuleBody.model_validate(changed)
