"""What every test may use: the public data, root, and the kernel's audit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from kernel_audit import kernel_audit_alone
from tocsin.agent.audit.control import AuditControl

# The same properties, briefly in `make test` and for long in `make prove`.
hypothesis.settings.register_profile("long", max_examples=10_000, deadline=None)
if os.environ.get("TOCSIN_LONG"):
    hypothesis.settings.load_profile("long")

_ROOT = Path(__file__).parent.parent


def _absent(what: str) -> None:
    """In CI a missing thing is a failure; on a user's machine the suite says loudly that it did not run."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}; CI must have it")
    pytest.skip(what)


@pytest.fixture(scope="session")
def public_data() -> Path:
    """The folder of public data sets, named by TOCSIN_TEST_DATA or beside the project."""
    data = Path(os.environ.get("TOCSIN_TEST_DATA", _ROOT.parent / "shared" / "data"))
    if not data.is_dir():
        _absent(f"public test data not found at {data}: set TOCSIN_TEST_DATA")
    return data


@pytest.fixture
def kernel_audit() -> Iterator[AuditControl]:
    """The kernel's audit for one test alone, which must leave it as it found it."""
    with kernel_audit_alone() as control:
        yield control


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests of the kernel's audit need root."""
    if item.get_closest_marker("root") and os.geteuid() != 0:
        _absent("needs root for the kernel's audit")
