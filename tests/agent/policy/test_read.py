"""Policies as TOML: what they say, and what is wrong with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.agent.policy.document import Exclusion, Handling, Policy
from tocsin.agent.policy.read import problems, read_policy, remarks
from tocsin.model.errors import InvalidSetting

EVERYTHING = """
[agents]
role = "web"

[[exclude]]
exe = ["/usr/bin/rsync", "/opt/agent/*"]
user = ["backup"]

[[exclude]]
cidr = ["10.0.0.0/8"]

[events.network_activity]
sample = 10
max_per_second = 500
exclude = { exe = ["/usr/sbin/haproxy"] }

[events.process_activity.launch]
max_per_second = 200

[limit]
cpu_percent = 3

[redact]
patterns = ['--pin (?P<secret>\\d+)']

[tags]
environment = "production"
"""


def test_every_section_is_read() -> None:
    """What a policy can say, said once."""
    assert read_policy(EVERYTHING, "web.toml") == Policy(
        ({"role": "web"},),
        (Exclusion(exe=("/usr/bin/rsync", "/opt/agent/*"), user=("backup",)), Exclusion(cidr=("10.0.0.0/8",))),
        {
            (4001, None): Handling(10, 500, (Exclusion(exe=("/usr/sbin/haproxy",)),)),
            (1007, 1): Handling(max_per_second=200),
        },
        ("--pin (?P<secret>\\d+)",),
        {"environment": "production"},
        3,
    )


def test_what_a_policy_only_seems_to_say_is_remarked() -> None:
    """A class of which only a part may be left out is named with that part."""
    said = remarks(read_policy("[events.file_activity]\nsample = 2\n[exclude]\nexe = ['/a']\n", "x"))
    assert said[0].startswith("events.file_activity: only get_attributes, get_security, open, read")
    assert said[1].startswith("exclude: never authentication")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[limits]\n", "p.toml:1: limits is not known here; known are agents, events, exclude, limit, redact, tags"),
        ("[exclude]\nexes = []\n", "p.toml:2: exclude.exes is not known here; known are cidr, exe, path, user"),
        ("[exclude]\nexe = ['rsync']\n", "p.toml:2: exclude.exe cannot hold 'rsync': it is not a whole path"),
        ("[exclude]\nexe = ['/a*b']\n", "only a last * stands for the rest"),
        ("[exclude]\ncidr = ['10.0.0.1/8']\n", "p.toml:2: exclude.cidr cannot hold '10.0.0.1/8': 10.0.0.1/8 has host"),
        ("exclude = 3\n", "p.toml:1: exclude is a section, or several of them"),
        ("[events.dns]\nsample = 2\n", "p.toml:1: events.dns is no class of events; those that may be left out are"),
        ("\n[events.authentication]\nsample = 2\n", "p.toml:2: events.authentication is protected"),
        ("[events.network_activity]\nsample = '2'\n", "p.toml:2: events.network_activity.sample cannot be '2'"),
        ("[events.network_activity.other]\nsample = 2\n", "events.network_activity.other is protected"),
        (
            "[limit]\ncpu_percent = 101\n",
            "p.toml:2: limit.cpu_percent cannot be 101; it is a whole number from 0 to 100",
        ),
        ("[redact]\npatterns = ['(']\n", "p.toml:2: redact.patterns cannot hold '(': it is not a regular expression"),
        ("[tags]\na = 3\n", "p.toml:2: tags.a cannot be 3; a tag is a text"),
        ("[tags]\na = \n", "p.toml:2: "),
    ],
)
def test_what_is_wrong_is_named_by_line_and_key(text: str, reason: str) -> None:
    """One sentence, with the place."""
    with pytest.raises(InvalidSetting) as caught:
        read_policy(text, "p.toml")
    assert reason in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Nobody mends a file one error at a time."""
    assert len(problems("[limit]\ncpu = 1\n[exclude]\nexe = ['a', 'b']\n[events.x]\n", "p.toml")) == 4


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2)
)


@given(
    st.text(max_size=200) | st.sampled_from(EVERYTHING.splitlines()).flatmap(lambda line: st.just(f"{line}\n{line}"))
)
def test_no_text_breaks_the_reader(text: str) -> None:
    """It is a policy, or there is a sentence about why not."""
    found = problems(text, "p.toml")
    if not found:
        read_policy(text, "p.toml")
    assert all(problem.startswith("p.toml") for problem in found)
