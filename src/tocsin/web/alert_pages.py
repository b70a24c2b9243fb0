"""The queue, one alert, and what can be done with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tocsin.alert.change import acknowledge, close
from tocsin.alert.read import (
    LEVELS,
    SILENT,
    STATUSES,
    Alert,
    Evidence,
    Filter,
    counts,
    evidence,
    first_events,
    page,
    show,
)
from tocsin.alert.tree import process_tree
from tocsin.api.auth import Caller
from tocsin.state.engine import reading
from tocsin.state.life.suppressions import find
from tocsin.web.drawing import draw_tree
from tocsin.web.page import Pages

__all__ = ["Why", "alert_routes", "filter_of"]

_MAX_VALUES = 5


class Why(msgspec.Struct, frozen=True):
    """A term of the rule, and the values that met it, most frequent first."""

    field: str
    term: str
    values: list[tuple[str, int]]
    more: int


def alert_routes(pages: Pages) -> list[Route]:
    """The pages under /alerts."""
    made = _AlertPages(pages)
    return [
        Route("/alerts", made.queue),
        Route("/alerts/{alert_id}", made.detail),
        Route("/alerts/{alert_id}/acknowledge", made.acknowledge, methods=["POST"]),
        Route("/alerts/{alert_id}/close", made.close, methods=["POST"]),
    ]


def filter_of(query: QueryParams) -> Filter:
    """The filter that the queue's address names; open alerts unless it says otherwise, nonsense is ignored."""
    status, level = query.get("status", "open"), query.get("level", "")
    return Filter(
        status=status if status in (*STATUSES, *SILENT) else "",
        level=level if level in LEVELS else "",
        text=query.get("q", "").strip(),
    )


class _AlertPages:
    def __init__(self, pages: Pages) -> None:
        self._pages, self._backend = pages, pages.backend

    def queue(self, request: Request) -> Response:
        caller, wanted = self._pages.caller(request), filter_of(request.query_params)
        with reading(self._backend.engine) as connection:
            found = page(connection, caller.org, wanted, cursor=request.query_params.get("cursor", ""))
            by_status = counts(connection, caller.org, wanted)
            seen = first_events(connection, caller.org, [alert.id for alert in found.alerts])
        return self._pages.page(
            caller,
            "alerts.html",
            alerts=found.alerts,
            cursor=found.cursor,
            first_events=seen,
            wanted=wanted,
            counts=by_status,
            levels=LEVELS,
            silent=SILENT,
        )

    def detail(self, request: Request) -> Response:
        caller, key = self._pages.caller(request), request.path_params["alert_id"]
        with reading(self._backend.engine) as connection:
            alert, kept = show(connection, caller.org, key), evidence(connection, caller.org, key)
            hider = find(connection, caller.org, alert.suppressed_by) if alert.suppressed_by else None
        tree = process_tree(alert, kept, self._backend.query)
        return self._pages.page(
            caller,
            "alert.html",
            alert=alert,
            suppression=hider,
            evidence=kept,
            why=_why(kept),
            tree=draw_tree(tree.processes),
            left_out=tree.left_out,
            tree_problem=tree.problem,
            copy={"alert": msgspec.to_builtins(alert), "evidence": msgspec.to_builtins(kept)},
            techniques=_techniques(alert),
        )

    async def acknowledge(self, request: Request) -> Response:
        form = await request.form()
        return await run_in_threadpool(self._change, request, form, self._acknowledge)

    async def close(self, request: Request) -> Response:
        form = await request.form()
        return await run_in_threadpool(self._change, request, form, self._close)

    def _change(
        self, request: Request, form: FormData, change: Callable[[sa.Connection, Caller, str, FormData], None]
    ) -> Response:
        caller, key = self._pages.caller(request, str(form.get("csrf", ""))), request.path_params["alert_id"]
        with self._backend.engine.begin() as connection:
            change(connection, caller, key, form)
        return RedirectResponse(f"/alerts/{key}", 303)

    def _acknowledge(self, connection: sa.Connection, caller: Caller, key: str, _form: FormData) -> None:
        acknowledge(connection, caller.org, key, caller.name, self._backend.clock.now_ms())

    def _close(self, connection: sa.Connection, caller: Caller, key: str, form: FormData) -> None:
        said = [str(form.get(name, "")).strip() for name in ("reason", "note")]
        reason = ": ".join(filter(None, said))
        close(connection, caller.org, key, caller.name, reason, self._backend.clock.now_ms())


def _why(kept: Sequence[Evidence]) -> list[Why]:
    terms: dict[tuple[str, str], Counter[str]] = {}
    for item in kept:
        for met in item.met:
            terms.setdefault((met.field, met.term), Counter())[met.value] += 1
    found = [
        Why(field, term, values.most_common(_MAX_VALUES), max(0, len(values) - _MAX_VALUES))
        for (field, term), values in terms.items()
    ]
    # What people can read comes before the numbers of activities and results.
    return sorted(found, key=lambda why: why.values[0][0].isdecimal())


def _techniques(alert: Alert) -> list[str]:
    """ATT&CK tags as people write them: T1059.004, Credential access."""
    tags = [tag.removeprefix("attack.") for tag in alert.tags if tag.startswith("attack.")]
    return [
        tag.upper() if tag[:2] in ("t1", "t0") else tag.replace("_", " ").replace("-", " ").capitalize() for tag in tags
    ]
