"""What the tests themselves rest on: one that fails leaves the kernel's audit to the next as it found it."""

from __future__ import annotations

import pytest

from kernel_audit import kernel_audit_alone
from tocsin.agent.audit.rules import Rule, compile_line

pytestmark = pytest.mark.root


def test_a_test_that_fails_leaves_nothing_behind() -> None:
    """Its rules are gone and the audit is as it was."""
    rule = compile_line("-a always,exit -F arch=b64 -S ptrace -F key=tocsin-test-left-behind")
    assert isinstance(rule, Rule)
    with kernel_audit_alone() as control:
        before = control.status().enabled

    def fail() -> None:
        with kernel_audit_alone() as control:
            control.add_rule(rule.pack())
            control.set(enabled=1)
            raise RuntimeError("the test fails")

    with pytest.raises(RuntimeError, match="the test fails"):
        fail()
    with kernel_audit_alone() as control:
        assert control.status().enabled == before
        assert not [loaded for loaded in control.rules() if b"left-behind" in loaded]
