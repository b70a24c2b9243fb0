"""The names that audit rules use, and the kernel's numbers for them.

Source: linux/audit.h, auditctl(8).
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ACTIONS",
    "ADDRESS_FAMILIES",
    "ARCHES",
    "BITS",
    "COMPARISONS",
    "FIELDS",
    "FILETYPES",
    "FILTERS",
    "OPERATORS",
    "PERMISSIONS",
]

FILTERS: Final = {"user": 0, "task": 1, "exit": 4, "exclude": 5, "filesystem": 6, "io_uring": 7}
ACTIONS: Final = {"never": 0, "possible": 1, "always": 2}

# The longest operator first: ">=" is not ">".
OPERATORS: Final = {
    "!=": 0x30000000,
    ">=": 0x60000000,
    "<=": 0x50000000,
    "&=": 0x48000000,
    "=": 0x40000000,
    ">": 0x20000000,
    "<": 0x10000000,
    "&": 0x08000000,
}

FIELDS: Final = {
    "pid": 0,
    "uid": 1,
    "euid": 2,
    "suid": 3,
    "fsuid": 4,
    "gid": 5,
    "egid": 6,
    "sgid": 7,
    "fsgid": 8,
    "auid": 9,
    "loginuid": 9,
    "pers": 10,
    "arch": 11,
    "msgtype": 12,
    "subj_user": 13,
    "subj_role": 14,
    "subj_type": 15,
    "subj_sen": 16,
    "subj_clr": 17,
    "ppid": 18,
    "obj_user": 19,
    "obj_role": 20,
    "obj_type": 21,
    "obj_lev_low": 22,
    "obj_lev_high": 23,
    "sessionid": 25,
    "fstype": 26,
    "devmajor": 100,
    "devminor": 101,
    "inode": 102,
    "exit": 103,
    "success": 104,
    "path": 105,
    "perm": 106,
    "dir": 107,
    "filetype": 108,
    "obj_uid": 109,
    "obj_gid": 110,
    "field_compare": 111,
    "exe": 112,
    "saddr_fam": 113,
    "a0": 200,
    "a1": 201,
    "a2": 202,
    "a3": 203,
    "key": 210,
}

PERMISSIONS: Final = {"x": 1, "w": 2, "r": 4, "a": 8}
FILETYPES: Final = {
    "file": 0o100000,
    "dir": 0o040000,
    "socket": 0o140000,
    "link": 0o120000,
    "character": 0o020000,
    "block": 0o060000,
    "fifo": 0o010000,
}
ADDRESS_FAMILIES: Final = {"unix": 1, "local": 1, "inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "vsock": 40}

# AUDIT_ARCH_*: the ELF machine, with a bit for 64-bit and one for little endian.
ARCHES: Final = {
    "x86_64": 0xC000003E,
    "i386": 0x40000003,
    "aarch64": 0xC00000B7,
    "arm": 0x40000028,
    "ppc64le": 0xC0000015,
    "ppc": 0x14,
    "s390x": 0x80000016,
    "s390": 0x16,
    "riscv64": 0xC00000F3,
}
# What b64 and b32 mean on a machine.
BITS: Final = {
    "x86_64": {"b64": "x86_64", "b32": "i386"},
    "aarch64": {"b64": "aarch64", "b32": "arm"},
    "ppc64le": {"b64": "ppc64le"},
    "s390x": {"b64": "s390x", "b32": "s390"},
    "riscv64": {"b64": "riscv64"},
}

_COMPARED = (
    "uid,obj_uid gid,obj_gid euid,obj_uid egid,obj_gid auid,obj_uid suid,obj_uid sgid,obj_gid "
    "fsuid,obj_uid fsgid,obj_gid "
    "uid,auid uid,euid uid,fsuid uid,suid auid,fsuid auid,suid auid,euid euid,suid euid,fsuid suid,fsuid "
    "gid,egid gid,fsgid gid,sgid egid,fsgid egid,sgid sgid,fsgid"
)
# AUDIT_COMPARE_*, numbered from 1; the order of the two fields does not matter.
COMPARISONS: Final = {frozenset(pair.split(",")): number for number, pair in enumerate(_COMPARED.split(), 1)}
