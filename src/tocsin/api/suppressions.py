"""The routes under /suppressions."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter

from tocsin.alert.silence import checked
from tocsin.api.given import PROBLEMS, Back, Who
from tocsin.api.shapes import SuppressionBody, SuppressionList, SuppressionRequest
from tocsin.state.engine import reading
from tocsin.state.life.suppressions import NewSuppression, Suppression, add, find, listed, remove

__all__ = ["router"]

router = APIRouter(prefix="/suppressions", tags=["suppressions"], responses=PROBLEMS)


def _body(found: Suppression, now_ms: int) -> SuppressionBody:
    return SuppressionBody.model_validate({"state": found.state(now_ms), **msgspec.structs.asdict(found)})


@router.get("")
def list_suppressions(backend: Back, who: Who) -> SuppressionList:
    """Suppressions of the caller's org, newest first, expired and removed ones too."""
    with reading(backend.engine) as connection:
        found = listed(connection, who.org)
    return SuppressionList(suppressions=[_body(each, backend.clock.now_ms()) for each in found])


@router.post("")
def add_suppression(body: SuppressionRequest, backend: Back, who: Who) -> SuppressionBody:
    """Hide what the expression finds, for events before its expiry."""
    now_ms = backend.clock.now_ms()
    new = checked(NewSuppression(**body.model_dump()), now_ms)
    with backend.engine.begin() as connection:
        made = add(connection, who.org, new, who.name, now_ms)
    return _body(made, now_ms)


@router.get("/{suppression_id}")
def show_suppression(suppression_id: str, backend: Back, who: Who) -> SuppressionBody:
    """One suppression."""
    with reading(backend.engine) as connection:
        found = find(connection, who.org, suppression_id)
    return _body(found, backend.clock.now_ms())


@router.delete("/{suppression_id}")
def remove_suppression(suppression_id: str, backend: Back, who: Who) -> SuppressionBody:
    """Stop hiding; what was hidden stays as it is, and so does this entry."""
    now_ms = backend.clock.now_ms()
    with backend.engine.begin() as connection:
        removed = remove(connection, who.org, suppression_id, who.name, now_ms)
    return _body(removed, now_ms)
