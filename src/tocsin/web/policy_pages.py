"""Capture policies: what they say, which agents have applied them, and changing them."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tocsin.agent.policy.read import read_policy, remarks
from tocsin.api.auth import Caller
from tocsin.api.policies import apply_policy, checked_policy, following, remove_policy
from tocsin.model.errors import BadInput, InvalidSetting, NotFound
from tocsin.state.engine import reading
from tocsin.state.policies import current_policies
from tocsin.web.page import Pages

__all__ = ["policy_routes"]

_EXAMPLE = """# [agents]
# role = "web"                        # for agents with this tag; without the section, for all

[[exclude]]
exe = ["/usr/bin/rsync"]

[events.network_activity]
max_per_second = 500
"""
_LONGEST = 100_000


def policy_routes(pages: Pages) -> list[Route]:
    """/policies."""
    made = _PolicyPages(pages)
    return [
        Route("/policies", made.show),
        Route("/policies", made.apply, methods=["POST"]),
        Route("/policies/{name}/remove", made.remove, methods=["POST"]),
    ]


class _PolicyPages:
    def __init__(self, pages: Pages) -> None:
        self._pages, self._backend = pages, pages.backend

    def show(self, request: Request) -> Response:
        caller, name = self._pages.caller(request), request.query_params.get("policy", "")
        with reading(self._backend.engine) as connection:
            policies = current_policies(connection, caller.org)
        chosen = next((each for each in policies if each.name == name), None)
        if name and chosen is None:
            raise NotFound(f"there is no policy {name}")
        return self._page(caller, name, chosen.content if chosen else _EXAMPLE)

    def _page(self, caller: Caller, name: str, content: str, error: str = "") -> Response:
        with reading(self._backend.engine) as connection:
            policies, agents = current_policies(connection, caller.org), following(connection, caller.org)
        said = {
            each.name: remarks(read_policy(each.content, each.name)) for each in policies if _is_known(each.content)
        }
        return self._pages.page(
            caller,
            "policies.html",
            status=400 if error else 200,
            policies=policies,
            agents=agents,
            remarks=said,
            name=name,
            content=content,
            error=error,
        )

    async def apply(self, request: Request) -> Response:
        """Apply what the form says, or show the form again with what is wrong with it."""
        form = await request.form()
        name, content = (str(form.get(each, "")) for each in ("name", "content"))
        content = content.replace("\r\n", "\n")

        def change(connection: sa.Connection, caller: Caller) -> None:
            if len(content) > _LONGEST:
                raise BadInput(f"a policy has at most {_LONGEST} characters")
            policy = checked_policy(name.strip(), content)
            apply_policy(connection, caller.org, policy, caller.name, self._backend.clock.now_ms())

        try:
            return await self._change(request, form, change)
        except InvalidSetting as error:
            caller = self._pages.caller(request, str(form.get("csrf", "")))
            return await run_in_threadpool(self._page, caller, name, content, str(error))

    async def remove(self, request: Request) -> Response:
        name = request.path_params["name"]

        def change(connection: sa.Connection, caller: Caller) -> None:
            remove_policy(connection, caller.org, name, caller.name, self._backend.clock.now_ms())

        return await self._change(request, await request.form(), change)

    async def _change(
        self, request: Request, form: FormData, change: Callable[[sa.Connection, Caller], None]
    ) -> Response:
        def work() -> None:
            caller = self._pages.caller(request, str(form.get("csrf", "")))
            with self._backend.engine.begin() as connection:
                change(connection, caller)

        await run_in_threadpool(work)
        return RedirectResponse("/policies", 303)


def _is_known(content: str) -> bool:
    """Whether this server can read it; one that a newer server has applied may say more."""
    try:
        read_policy(content, "")
    except InvalidSetting:
        return False
    return True
