"""What a policy leaves out, and what it never does."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.agent.policy.document import Exclusion, Handling, Policy, merge
from tocsin.agent.policy.gate import PATHS, Gate
from tocsin.agent.policy.sampling import SAMPLE_RATE
from tocsin.model.event import Event, Value
from tocsin.model.schema import CLASSES

RSYNC, NETWORK, FILE, PROCESS = "/usr/bin/rsync", 4001, 1001, 1007

_texts = st.sampled_from(["/usr/bin/rsync", "/usr/bin/rsy*", "/*", "0", "root", "33", "/etc/shadow", "/memfd:x"])
_exclusions = st.builds(
    Exclusion,
    exe=st.lists(_texts, max_size=2).map(tuple),
    path=st.lists(_texts, max_size=2).map(tuple),
    user=st.lists(_texts, max_size=2).map(tuple),
    cidr=st.sampled_from([(), ("0.0.0.0/0",), ("::/0", "0.0.0.0/0")]),
).filter(lambda each: each.says_something)
_handlings = st.builds(
    Handling,
    sample=st.none() | st.integers(1, 1 << 20),
    max_per_second=st.none() | st.just(1),
    exclude=st.lists(_exclusions, max_size=2).map(tuple),
)
_types = st.sampled_from([(uid, activity) for uid, each in CLASSES.items() for activity in (*each.activities, None)])
# Not only what the reader of documents lets through: any policy at all.
_policies = st.builds(
    Policy,
    exclude=st.lists(_exclusions, max_size=3).map(tuple),
    events=st.dictionaries(_types, _handlings, max_size=5),
)
_values = {path: _texts for path in PATHS if path.endswith((".path", ".uid", ".name"))}


@st.composite
def _events(draw: st.DrawFn) -> Event:
    class_uid = draw(st.sampled_from(list(CLASSES)))
    said: dict[str, Value] = draw(st.fixed_dictionaries({}, optional=_values))
    said |= {
        "time": draw(st.integers(0, 1 << 40)),
        "activity_id": draw(st.sampled_from(list(CLASSES[class_uid].activities))),
        "unmapped.audit.serial": draw(st.integers(0, 1 << 30)),
        "metadata.event_code": draw(st.sampled_from(["execve", "exit_group", "kill", "ptrace", "connect"])),
        "dst_endpoint.ip": draw(st.sampled_from(["10.0.0.1", "::1"])),
    }
    if draw(st.booleans()):
        said["process.session.terminal"] = "pts0"
    if draw(st.booleans()):
        said["process.euid"] = draw(st.integers(0, 1))
    shared = {path: said.pop(path) for path in list(said) if path.startswith("actor.")} if draw(st.booleans()) else {}
    return Event(class_uid, said, (), shared)


def gate_of(policy: Policy, now: list[float] | None = None, lowered: dict[int, int] | None = None) -> Gate:
    clock = now or [0.0]
    return Gate(policy, salt="a1", clock=lambda: clock[0], uid_of={"www": "33"}.get, lowered=lowered)


def _is_protected_in_words(event: Event) -> bool:
    """The promise, written down once more and not as the gate has it."""
    values = event.attributes()
    kind, activity = CLASSES[event.class_uid].name, CLASSES[event.class_uid].activities[int(values["activity_id"])]
    if kind in {"authentication", "account_change", "group_management", "kernel_extension_activity", "base_event"}:
        return True
    if kind in {"memory_activity", "module_activity", "event_log_actvity", "script_activity", "api_activity"}:
        return True
    if kind == "file_activity":
        return activity not in {"Read", "Open", "Get Attributes", "Get Security"}
    if kind == "process_activity" and activity == "Launch":
        ids = values.get("process.euid"), values.get("process.user.uid")
        raised = None not in ids and str(ids[0]) != str(ids[1])
        in_session = any(
            values.get(f"{who}.session.{w}") for who in ("process", "actor.process") for w in ("uid", "terminal")
        )
        return raised or in_session or str(values.get("process.file.path", "")).startswith("/memfd:")
    return kind == "process_activity" and (activity != "Terminate" or values["metadata.event_code"] == "kill")


@given(_policies, _events(), st.integers(0, 7))
def test_no_policy_leaves_a_protected_event_out(policy: Policy, event: Event, step: int) -> None:
    """Whatever a policy says, even one that no document can say, and however far the agent is lowered."""
    lowered = dict.fromkeys(CLASSES, 4096) if step else None
    gate = gate_of(policy, lowered=lowered)
    for _ in range(3):
        reason = gate.refuses(event)
        if _is_protected_in_words(event):
            assert reason is None
            assert SAMPLE_RATE not in event.values


@given(_policies, _events())
def test_the_attributes_that_are_named_decide(policy: Policy, event: Event) -> None:
    """A decision on the named paths alone, as explain makes it, is the one on the whole event."""
    named = {path: value for path, value in event.attributes().items() if path in PATHS}
    assert gate_of(policy).refuses(Event(event.class_uid, named)) == gate_of(policy).refuses(event)


def connection(serial: int = 1, activity_id: int = 1, address: str = "10.1.2.3") -> Event:
    shared: dict[str, Value] = {"actor.process.file.path": RSYNC, "actor.process.user.uid": "33"}
    said: dict[str, Value] = {"time": 1_000, "activity_id": activity_id, "unmapped.audit.serial": serial}
    return Event(NETWORK, said | {"dst_endpoint.ip": address}, (), shared)


@pytest.mark.parametrize(
    ("exclusion", "fits"),
    [
        (Exclusion(exe=(RSYNC,)), True),
        (Exclusion(exe=("/usr/bin/*",)), True),
        (Exclusion(exe=("/usr/bin/rsyncd",)), False),
        (Exclusion(user=("www",)), True),
        (Exclusion(user=("33",)), True),
        (Exclusion(user=("root",)), False),
        (Exclusion(cidr=("10.0.0.0/8",)), True),
        (Exclusion(cidr=("10.2.0.0/16", "fe80::/10")), False),
        (Exclusion(exe=(RSYNC,), cidr=("10.0.0.0/8",)), True),
        (Exclusion(exe=(RSYNC,), cidr=("192.168.0.0/16",)), False),
        (Exclusion(path=("/etc/*",)), False),
    ],
)
def test_an_exclusion_holds_what_fits_each_of_its_lists(exclusion: Exclusion, *, fits: bool) -> None:
    """One value of every list that is not empty must fit."""
    assert (gate_of(Policy(exclude=(exclusion,))).refuses(connection()) == "excluded") == fits


def test_an_address_of_version_4_within_version_6_is_the_same() -> None:
    """A dual-stack socket says ::ffff:10.1.2.3."""
    gate = gate_of(Policy(exclude=(Exclusion(cidr=("10.0.0.0/8",)),)))
    assert gate.refuses(connection(address="::ffff:10.1.2.3")) == "excluded"


def test_a_sample_holds_one_in_so_many_and_says_so() -> None:
    """The share is right, the kept ones carry the rate, and the same events give the same sample."""
    gate = gate_of(Policy(events={(NETWORK, None): Handling(sample=10)}))
    events = [connection(serial) for serial in range(20_000)]
    kept = [event.values["unmapped.audit.serial"] for event in events if gate.refuses(event) is None]
    assert 1_800 < len(kept) < 2_200
    assert {event.values.get(SAMPLE_RATE) for event in events} == {None, 10}
    again = [connection(serial) for serial in range(20_000)]
    assert kept == [event.values["unmapped.audit.serial"] for event in again if gate.refuses(event) is None]
    # Nothing of the number itself shows: the last digits of what is kept are as they come.
    digits = Counter(int(serial) % 10 for serial in kept)
    assert min(digits.values()) > 130


def test_lowering_takes_a_sample_of_the_sample() -> None:
    """What the processor's share costs is counted apart from what the policy says, and the rate is the product."""
    gate = gate_of(Policy(events={(NETWORK, None): Handling(sample=4)}), lowered={NETWORK: 8})
    events = [connection(serial) for serial in range(32_000)]
    reasons = Counter(gate.refuses(event) for event in events)
    assert 23_500 < reasons["sampled"] < 24_500
    assert 6_700 < reasons["adaptive"] < 7_300
    assert {event.values.get(SAMPLE_RATE) for event in events} == {None, 32}


def test_a_limit_is_of_the_class_and_of_an_activity_by_itself() -> None:
    """Activities share the bucket of their class, unless they have their own."""
    now = [0.0]
    handlings = {(NETWORK, None): Handling(max_per_second=3), (NETWORK, 7): Handling(max_per_second=1)}
    gate = gate_of(Policy(events=handlings), now)
    opened = [gate.refuses(connection(n, activity_id=1 + n % 2)) for n in range(5)]
    listening = [gate.refuses(connection(n, activity_id=7)) for n in range(2)]
    assert opened == [None, None, None, "rate_limited", "rate_limited"]
    assert listening == [None, "rate_limited"]
    now[0] += 1.0
    assert gate.refuses(connection()) is None


def test_of_several_policies_lists_add_up_and_the_last_number_counts() -> None:
    """A policy for few agents comes after one for all, and the host's own last."""
    first = Policy(exclude=(Exclusion(exe=("/a",)),), events={(NETWORK, None): Handling(sample=10)}, tags={"a": "1"})
    second = Policy(events={(NETWORK, None): Handling(sample=1, max_per_second=9)}, tags={"a": "2"}, cpu_percent=3)
    merged = merge([first, second])
    assert merged.exclude == first.exclude
    assert merged.events == {(NETWORK, None): Handling(sample=1, max_per_second=9)}
    assert (merged.tags, merged.cpu_percent) == ({"a": "2"}, 3)
    assert gate_of(merge([])).is_open
