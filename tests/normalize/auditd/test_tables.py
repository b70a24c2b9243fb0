"""Numbers and names, compared with the tools of the audit project."""

from __future__ import annotations

import errno
import shutil
import subprocess

import pytest

from tocsin.normalize.auditd import tables


@pytest.mark.parametrize("arch", ["x86_64", "i386", "aarch64", "arm"])
def test_system_calls_are_those_of_ausyscall(arch: str) -> None:
    """Every number that ausyscall knows has its name."""
    if shutil.which("ausyscall") is None:
        pytest.skip("ausyscall (Debian: auditd) is not installed")
    printed = subprocess.run(["ausyscall", arch, "--dump"], capture_output=True, check=True, text=True).stdout
    theirs = {int(number): name for number, name in (line.split() for line in printed.splitlines()[1:])}
    assert theirs.items() <= tables.syscall_names()[arch].items()


def test_errors_are_those_of_the_c_library() -> None:
    """A negative exit is named as errno.h names it; what is none stays a number."""
    known = {number: name for number, name in errno.errorcode.items() if name not in {"ENOTSUP", "EDEADLOCK"}}
    assert {number: tables.errno_name(str(-number)) for number in known} == known
    assert [tables.errno_name(exit_code) for exit_code in ("0", "3", "-4000", "x", "-516")] == [
        "0",
        "3",
        "-4000",
        "x",
        "ERESTART_RESTARTBLOCK",
    ]


def test_system_calls_are_named_by_architecture() -> None:
    """The same number means different calls; x32 shares x86_64's; unknown ones stay numbers."""
    assert tables.syscall_name("c000003e", "59") == "execve"
    assert tables.syscall_name("40000003", "11") == "execve"
    assert tables.syscall_name("c00000b7", "221") == "execve"
    assert tables.syscall_name("40000028", "11") == "execve"
    assert tables.syscall_name("c000003e", str(0x40000000 + 42)) == "connect"
    assert tables.syscall_name("deadbeef", "59") == "59"
    assert tables.syscall_name("c000003e", "-1") == "-1"


def test_record_types_go_both_ways() -> None:
    """A name leads back to its number, an unknown one too."""
    for number in (1112, 1300, 1329, 1999, 2404):
        assert tables.type_number(tables.record_type(number)) == number
    assert tables.is_kernel_type("SYSCALL")
    assert not tables.is_kernel_type("USER_LOGIN")
