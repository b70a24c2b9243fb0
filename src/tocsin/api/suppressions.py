"""The routes under /suppressions."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa
from fastapi import APIRouter

from tocsin.alert.silence import checked
from tocsin.api.given import PROBLEMS, Back, Who
from tocsin.api.shapes import SuppressionBody, SuppressionList, SuppressionRequest
from tocsin.detect.life.overview import Rules
from tocsin.intel.indicator import Kind
from tocsin.model.errors import BadInput, NotFound
from tocsin.state.engine import reading
from tocsin.state.life.suppressions import NewSuppression, Suppression, add, find, listed, remove

__all__ = ["add_checked", "router"]

router = APIRouter(prefix="/suppressions", tags=["suppressions"], responses=PROBLEMS)


_INDICATOR_RULES = frozenset(f"intel:{kind.value}" for kind in Kind)  # what indicators find has no file


def add_checked(
    connection: sa.Connection, rules: Rules, org: str, new: NewSuppression, author: str, now_ms: int
) -> Suppression:
    """Keep a suppression that can do what it says.

    Raises:
        BadInput: it has no owner, no reason, no end to come, is no filter, or its rule is none of the org's.
    """
    valid = checked(new, now_ms)
    if valid.rule_id and valid.rule_id not in _INDICATOR_RULES:
        # With a misspelt rule it would hide nothing and not say so.
        try:
            rules.one(connection, org, valid.rule_id, now_ms)
        except NotFound as error:
            raise BadInput(str(error)) from error
    return add(connection, org, valid, author, now_ms)


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
    new = NewSuppression(**body.model_dump())
    with backend.engine.begin() as connection:
        made = add_checked(connection, backend.rules, who.org, new, who.name, now_ms)
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
