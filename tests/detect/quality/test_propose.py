"""Proposals name what unwanted events have in common, in stable attributes, and hold for no wanted event."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.conditions.parse_sql import parse_filter
from tocsin.detect.evaluate.naive import holds
from tocsin.detect.quality.propose import Proposal, attributes, propose
from tocsin.detect.quality.stable import stability
from tocsin.model.event import Event

_EXE, _PARENT, _USER = "process.file.path", "process.parent_process.file.path", "process.user.name"


def _backup(pid: int) -> dict[str, str]:
    return {_EXE: "/usr/bin/curl", _PARENT: "/opt/backup/agent", _USER: "backup", "process.pid": str(pid)}


def _attack(pid: int) -> dict[str, str]:
    return {_EXE: "/usr/bin/curl", _PARENT: "/usr/bin/bash", _USER: "www-data", "process.pid": str(pid)}


def _held(proposal: Proposal, event: Mapping[str, str]) -> bool:
    return holds(parse_filter(proposal.expression), Event(1007, dict(event)))


def test_names_parent_and_user_of_a_noisy_program() -> None:
    """What sets the noise apart is its parent and user; the program that both have in common says nothing."""
    found = propose([_backup(pid) for pid in range(20)], [_attack(99)])
    assert [each.expression for each in found] == [
        f"{_PARENT} = '/opt/backup/agent' AND {_USER} = 'backup'",
    ]
    assert (found[0].removes, found[0].of, found[0].wanted) == (20, 20, 1)


def test_without_wanted_events_the_narrowest_is_proposed() -> None:
    """With nothing to hold against, all that the events have in common is named."""
    (found,) = propose([_backup(pid) for pid in range(3)])
    assert {term.path for term in found.terms} == {_EXE, _PARENT, _USER}


def test_clusters_become_proposals_of_their_own() -> None:
    """Two kinds of noise give two proposals, the larger first, that together remove everything."""
    cron = {_EXE: "/usr/sbin/logrotate", _PARENT: "/usr/sbin/cron", _USER: "root"}
    found = propose([_backup(1)] * 30 + [cron] * 10, [_attack(9)])
    assert [each.removes for each in found] == [30, 10]


def test_values_of_one_attribute_become_a_list() -> None:
    """Clusters that differ in the user only are one proposal."""
    events = [_backup(1) | {_USER: user} for user in ("ann", "bob", "eve") for _ in range(5)]
    found = propose(events, [_attack(1) | {_PARENT: "/opt/backup/agent", _USER: "www-data"}])
    assert [each.expression for each in found] == [f"{_USER} IN ('ann', 'bob', 'eve')"]


def test_folders_stand_for_many_programs_but_never_those_of_attackers() -> None:
    """Versions of a program below one folder are named by it; a home never is."""
    vendor = [{_EXE: f"/opt/vendor/{version}/bin/tool"} for version in range(9) for _ in range(2)]
    assert propose(vendor)[0].expression == f"starts_with({_EXE}, '/opt/vendor/')"
    anywhere = [{_EXE: f"/home/ann/{n}/cc"} for n in range(9)]
    assert propose(anywhere) == []


@pytest.mark.parametrize(
    "path", ["process.pid", "time", "metadata.uid", "process.uid", "ProcessGuid", "UtcTime", "LogonId", "device.uid"]
)
def test_what_is_new_in_every_event_is_never_named(path: str) -> None:
    """Ids, times and process numbers are no ground for a filter."""
    assert stability(path) == 0
    assert propose([{path: "1"}, {path: "1"}]) == []


def test_a_process_is_named_once() -> None:
    """Not by name and path both, nor as parent and as actor."""
    start = {"actor.process.file.path": "/usr/bin/dash", "actor.process.name": "sh", _PARENT: "/usr/bin/dash"}
    (found,) = propose([start | {_EXE: "/usr/bin/id", "process.name": "id"}] * 3)
    assert found.expression == f"{_EXE} = '/usr/bin/id' AND {_PARENT} = '/usr/bin/dash'"


def test_commands_are_known_by_their_beginning_but_not_by_a_shell() -> None:
    """A command with other arguments each time is named by what stays; `sh -c` could be anything."""
    (found,) = propose([{"process.cmd_line": f"/usr/bin/apt-get -y install p{n}"} for n in range(5)])
    assert found.expression == "starts_with(process.cmd_line, '/usr/bin/apt-get -y install ')"
    assert propose([{"process.cmd_line": f"sh -c x{n}"} for n in range(5)]) == []


def test_inseparable_events_give_no_proposal() -> None:
    """If wanted events look the same, there is nothing to propose."""
    assert propose([_backup(1), _backup(2)], [_backup(3)]) == []


def test_values_of_an_original_are_named_by_their_path() -> None:
    """What a source said in its own terms can be part of a proposal."""
    original = msgspec.json.encode({"userIdentity": {"invokedBy": "config.amazonaws.com"}, "list": [1]}).decode()
    (found,) = propose([attributes({"unmapped.source": original, "time": 1})] * 3)
    assert found.expression == "unmapped.source.userIdentity.invokedBy = 'config.amazonaws.com'"


_EVENTS = st.lists(
    st.dictionaries(
        st.sampled_from([_EXE, _PARENT, _USER, "process.pid", "file.path"]),
        st.sampled_from(["/opt/a/x", "/opt/a/y", "/home/z", "it's", "100%", "a_b", "root"]),
    ),
    max_size=8,
)


@given(_EVENTS, _EVENTS)
def test_counts_are_true_and_no_wanted_event_is_hit(
    unwanted: list[dict[str, str]], wanted: list[dict[str, str]]
) -> None:
    """Read back as an expression, and as a tree, a proposal holds for as many events as it says and no wanted one."""
    for proposal in propose(unwanted, wanted):
        assert sum(_held(proposal, event) for event in unwanted) == proposal.removes > 0
        assert not any(_held(proposal, event) for event in wanted)
        for event in unwanted + wanted:
            assert holds(proposal.condition, Event(1007, dict(event))) == _held(proposal, event)
