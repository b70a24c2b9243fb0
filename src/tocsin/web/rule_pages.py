"""Rules with their states and hits, suppressions, and what can be done with both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tocsin.api.auth import Caller
from tocsin.api.suppressions import add_checked
from tocsin.detect.life.overview import RuleSeen
from tocsin.model.errors import BadInput
from tocsin.model.life import State
from tocsin.state.engine import reading
from tocsin.state.life.states import Given, give_state
from tocsin.state.life.suppressions import NewSuppression, listed, remove
from tocsin.web.page import Pages

__all__ = ["rule_routes"]

_DAY_MS = 86_400_000
_MOST_SHOWN, _LONGEST_DAYS = 300, 3_650
_STATES = tuple(state.value for state in State)
_GIVEN = ("active", "staged", "disabled")


def rule_routes(pages: Pages) -> list[Route]:
    """/rules and /suppressions."""
    made = _RulePages(pages)
    return [
        Route("/rules", made.rules),
        Route("/rules/state", made.state, methods=["POST"]),
        Route("/suppressions", made.suppressions),
        Route("/suppressions", made.add, methods=["POST"]),
        Route("/suppressions/{key}/remove", made.remove, methods=["POST"]),
    ]


class _RulePages:
    def __init__(self, pages: Pages) -> None:
        self._pages, self._backend = pages, pages.backend

    def rules(self, request: Request) -> Response:
        caller, query = self._pages.caller(request), request.query_params
        state = query.get("state", "") if query.get("state") in _STATES else ""
        text = query.get("q", "").strip()
        with reading(self._backend.engine) as connection:
            found = self._backend.rules.overview(connection, caller.org, self._backend.clock.now_ms())
        fitting = [rule for rule in found.rules if _fits(rule, text)]
        wanted = [rule for rule in fitting if state in ("", rule.state)]
        states = Counter(rule.state for rule in fitting)
        return self._pages.page(
            caller,
            "rules.html",
            rules=sorted(wanted, key=lambda rule: -rule.matches)[:_MOST_SHOWN],
            left_out=max(0, len(wanted) - _MOST_SHOWN),
            states={name: states[name] for name in _STATES},
            state=state,
            text=text,
            refused=found.refused,
            in_use=found.in_use,
        )

    async def state(self, request: Request) -> Response:
        return await self._change(request, self._give_state, "/rules")

    def _give_state(self, connection: sa.Connection, caller: Caller, form: FormData) -> None:
        rule_id, wanted = str(form.get("rule", "")), str(form.get("state", ""))
        if wanted not in _GIVEN:
            raise BadInput(f"state {wanted!r} is not one of {', '.join(_GIVEN)}")
        now_ms = self._backend.clock.now_ms()
        self._backend.rules.one(connection, caller.org, rule_id, now_ms)
        give_state(connection, caller.org, rule_id, Given(State(wanted), "", caller.name, now_ms))

    def suppressions(self, request: Request) -> Response:
        caller, now_ms = self._pages.caller(request), self._backend.clock.now_ms()
        with reading(self._backend.engine) as connection:
            found = listed(connection, caller.org)
        states = {each.id: each.state(now_ms) for each in found}
        # A link from an alert or a rule can say for which rule.
        rule = request.query_params.get("rule", "")
        return self._pages.page(caller, "suppressions.html", suppressions=found, states=states, rule=rule)

    async def add(self, request: Request) -> Response:
        return await self._change(request, self._add, "/suppressions")

    def _add(self, connection: sa.Connection, caller: Caller, form: FormData) -> None:
        now_ms = self._backend.clock.now_ms()
        said = {name: str(form.get(name, "")).strip() for name in ("expression", "owner", "reason", "rule", "days")}
        if not said["days"].isdecimal() or not 0 < int(said["days"]) <= _LONGEST_DAYS:
            raise BadInput(f"a suppression ends after 1 to {_LONGEST_DAYS} days")
        expires_at = now_ms + int(said["days"]) * _DAY_MS
        new = NewSuppression(said["expression"], said["owner"], said["reason"], expires_at, said["rule"])
        add_checked(connection, self._backend.rules, caller.org, new, caller.name, now_ms)

    async def remove(self, request: Request) -> Response:
        return await self._change(request, self._remove(request.path_params["key"]), "/suppressions")

    def _remove(self, key: str) -> Callable[[sa.Connection, Caller, FormData], None]:
        def change(connection: sa.Connection, caller: Caller, _form: FormData) -> None:
            remove(connection, caller.org, key, caller.name, self._backend.clock.now_ms())

        return change

    async def _change(
        self, request: Request, change: Callable[[sa.Connection, Caller, FormData], None], then: str
    ) -> Response:
        form = await request.form()

        def work() -> None:
            caller = self._pages.caller(request, str(form.get("csrf", "")))
            with self._backend.engine.begin() as connection:
                change(connection, caller, form)

        await run_in_threadpool(work)
        return RedirectResponse(then, 303)


def _fits(rule: RuleSeen, text: str) -> bool:
    return text.lower() in f"{rule.title} {rule.id} {rule.ruleset} {' '.join(rule.tags)}".lower()
