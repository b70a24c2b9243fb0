"""The routes under /alerts."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from tocsin.alert.change import acknowledge, close
from tocsin.alert.read import Filter, evidence, page, show
from tocsin.api.given import PROBLEMS, Back, Who
from tocsin.api.shapes import AlertBody, AlertDetail, AlertList, CloseRequest, EvidenceBody
from tocsin.state.engine import reading

__all__ = ["router"]

router = APIRouter(prefix="/alerts", tags=["alerts"], responses=PROBLEMS)

_Status = Literal["", "open", "acknowledged", "closed", "staged", "suppressed"]
_Level = Literal["", "critical", "high", "medium", "low", "informational"]


@router.get("")
def list_alerts(  # the parameters are the query string
    backend: Back,
    who: Who,
    status: _Status = "",
    level: _Level = "",
    text: str = "",
    cursor: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> AlertList:
    """Alerts of the caller's org, newest first."""
    with reading(backend.engine) as connection:
        found = page(connection, who.org, Filter(status, level, text), cursor=cursor, limit=limit)
    return AlertList.model_validate(found)


@router.get("/{alert_id}")
def show_alert(alert_id: str, backend: Back, who: Who) -> AlertDetail:
    """One alert, the events that it keeps, and why each fired."""
    with reading(backend.engine) as connection:
        alert = AlertBody.model_validate(show(connection, who.org, alert_id))
        kept = [EvidenceBody.model_validate(item) for item in evidence(connection, who.org, alert_id)]
    return AlertDetail(alert=alert, evidence=kept)


@router.post("/{alert_id}/acknowledge")
def acknowledge_alert(alert_id: str, backend: Back, who: Who) -> AlertBody:
    """Say that somebody is looking at it; a second time changes nothing."""
    with backend.engine.begin() as connection:
        changed = acknowledge(connection, who.org, alert_id, who.name, backend.clock.now_ms())
    return AlertBody.model_validate(changed)


@router.post("/{alert_id}/close")
def close_alert(alert_id: str, body: CloseRequest, backend: Back, who: Who) -> AlertBody:
    """Close it with a reason; it stays closed, whatever still happens in its window."""
    with backend.engine.begin() as connection:
        changed = close(connection, who.org, alert_id, who.name, body.reason, backend.clock.now_ms())
    return AlertBody.model_validate(changed)
