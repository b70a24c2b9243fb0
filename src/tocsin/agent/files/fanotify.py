"""The kernel's fanotify: which file in which folder was changed, and by which process.

Source: fanotify(7), fanotify_init(2), fanotify_mark(2), name_to_handle_at(2), linux/fanotify.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final, NamedTuple, Self

from tocsin.model.errors import NotAllowed, TryLater

__all__ = [
    "ATTRIB",
    "CLOSE_WRITE",
    "CREATE",
    "DELETE",
    "MODIFY",
    "MOVED_FROM",
    "MOVED_TO",
    "ON_FOLDER",
    "OVERFLOW",
    "RENAME",
    "Fanotify",
    "Handle",
    "Notice",
    "handle_of",
    "parse",
]

Handle = bytes
"""File system, type and handle of a file or folder, as the kernel names it; the same for as long as it exists."""

MODIFY: Final = 0x2
ATTRIB: Final = 0x4
CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
OVERFLOW: Final = 0x4000
RENAME: Final = 0x10000000
ON_CHILD: Final = 0x08000000
ON_FOLDER: Final = 0x40000000

# FAN_CLOEXEC, FAN_NONBLOCK, FAN_UNLIMITED_MARKS: the number of folders is bounded by the settings.
INIT_FLAGS: Final = 0x1 | 0x2 | 0x20
REPORT_FID: Final = 0x200
REPORT_DFID_NAME: Final = 0x400 | 0x800
REPORT_TARGET_FID: Final = 0x1000  # and with it FAN_RENAME: Linux 5.17
MARK_ADD, MARK_REMOVE, MARK_DONT_FOLLOW = 0x1, 0x2, 0x4

_CONTENT: Final = MODIFY | ATTRIB | CLOSE_WRITE
_NAMES: Final = CREATE | DELETE
_FOLDER_MASK: Final = _CONTENT | _NAMES | ON_CHILD | ON_FOLDER

READ_BYTES: Final = 64 << 10
AT_FDCWD: Final = -100
AT_HANDLE_FID: Final = 0x200  # Linux 6.5: a handle to compare, not to open; overlayfs has no other
MAX_HANDLE_BYTES: Final = 128

_METADATA = struct.Struct("=IBBHQii")
_INFO = struct.Struct("=BBH")
_HANDLE_HEAD = struct.Struct("=Ii")
_FSID_BYTES: Final = 8
_FID, _DFID_NAME, _OLD_DFID_NAME, _NEW_DFID_NAME = 1, 2, 10, 12


class Notice(NamedTuple):
    """One message: what happened (`mask`), by which process, to which name in which folder.

    The kernel merges what happens to one name in short order, so several bits may be set. A rename within watched
    folders has both names; into them only the second (`new_folder`, `new_name`), out of them only the first.
    """

    mask: int
    pid: int
    folder: Handle = b""
    name: str = ""
    new_folder: Handle = b""
    new_name: str = ""
    target: Handle = b""


class Fanotify:
    """A queue of notices about marked folders. Other users of fanotify neither see nor disturb it."""

    def __init__(self, descriptor: int, *, renames: bool) -> None:
        self.descriptor = descriptor
        moves = RENAME if renames else MOVED_FROM | MOVED_TO
        self._folder_mask = _FOLDER_MASK | moves

    @classmethod
    def open(cls, *, renames: bool = True) -> Self:
        """Start a queue; `renames` asks for both names of a rename in one notice, which Linux has from 5.17 on.

        Raises:
            NotAllowed: the process lacks CAP_SYS_ADMIN.
            TryLater: this kernel does not tell names; Linux does from 5.9 on.
        """
        wanted = REPORT_FID | REPORT_DFID_NAME | (REPORT_TARGET_FID if renames else 0)
        descriptor = _libc.fanotify_init(INIT_FLAGS | wanted, os.O_RDONLY | os.O_CLOEXEC)
        if descriptor >= 0:
            return cls(descriptor, renames=renames)
        code = ctypes.get_errno()
        if code == errno.EINVAL and renames:
            return cls.open(renames=False)
        if code == errno.EPERM:
            raise NotAllowed("watching files needs root, with CAP_SYS_ADMIN")
        reason = "this kernel tells no file names, Linux 5.9 does" if code == errno.EINVAL else os.strerror(code)
        raise TryLater(f"files cannot be watched: {reason}")

    def watch_folder(self, path: str) -> None:
        """Tell of what happens to the folder and to what is directly in it.

        Raises:
            OSError: it is gone, or its file system has no handles.
        """
        self._mark(MARK_ADD | MARK_DONT_FOLLOW, self._folder_mask, path)

    def watch_file(self, path: str) -> None:
        """Tell of what happens to a file by whatever name, which matters for one that has several.

        Raises:
            OSError: it is gone.
        """
        self._mark(MARK_ADD | MARK_DONT_FOLLOW, _CONTENT, path)

    def forget_folder(self, path: str) -> None:
        """Tell no more of a folder that is left to itself, after it was moved away.

        Raises:
            OSError: it is gone, or was not watched.
        """
        self._mark(MARK_REMOVE | MARK_DONT_FOLLOW, self._folder_mask, path)

    def _mark(self, flags: int, mask: int, path: str) -> None:
        if _libc.fanotify_mark(self.descriptor, flags, ctypes.c_uint64(mask), AT_FDCWD, os.fsencode(path)):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)

    def read(self) -> list[Notice]:
        """What has been told since the last time, up to one buffer; empty if nothing."""
        try:
            return parse(os.read(self.descriptor, READ_BYTES))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Forget all marks."""
        os.close(self.descriptor)


def parse(buffer: bytes) -> list[Notice]:
    """The notices in what was read from the kernel; what this code does not know is skipped."""
    notices = []
    start = 0
    while start + _METADATA.size <= len(buffer):
        length, _, _, head, mask, _, pid = _METADATA.unpack_from(buffer, start)
        notices.append(_notice(mask, pid, memoryview(buffer)[start + head : start + length]))
        start += max(length, _METADATA.size)
    return notices


def _notice(mask: int, pid: int, infos: memoryview) -> Notice:
    folder = new_folder = target = b""
    name = new_name = ""
    while len(infos) >= _INFO.size:
        kind, _, length = _INFO.unpack_from(infos)
        if kind in {_DFID_NAME, _OLD_DFID_NAME}:
            folder, name = _handle_and_name(infos[:length])
        elif kind == _NEW_DFID_NAME:
            new_folder, new_name = _handle_and_name(infos[:length])
        elif kind == _FID:
            target = _handle_and_name(infos[:length])[0]
        infos = infos[max(length, _INFO.size) :]
    return Notice(mask, pid, folder, name, new_folder, new_name, target)


def _handle_and_name(info: memoryview) -> tuple[Handle, str]:
    handle_at = _INFO.size + _FSID_BYTES
    size, _ = _HANDLE_HEAD.unpack_from(info, handle_at)
    end = handle_at + _HANDLE_HEAD.size + size
    name = bytes(info[end:]).partition(b"\0")[0]
    return bytes(info[_INFO.size : end]), os.fsdecode(name)


class _FileHandle(ctypes.Structure):
    _fields_ = (("bytes", ctypes.c_uint32), ("type", ctypes.c_int32), ("handle", ctypes.c_ubyte * MAX_HANDLE_BYTES))


def handle_of(path: str) -> Handle:
    """How notices name this file or folder; a link is not followed.

    Raises:
        OSError: it is gone, or its file system has no handles.
    """
    handle, mount = _FileHandle(), ctypes.c_int()
    for flags in (0, AT_HANDLE_FID):
        handle.bytes = MAX_HANDLE_BYTES
        failed = _libc.name_to_handle_at(AT_FDCWD, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), flags)
        if not failed:
            fsid = os.statvfs(path).f_fsid.to_bytes(_FSID_BYTES, "little")
            return fsid + _HANDLE_HEAD.pack(handle.bytes, handle.type) + bytes(handle.handle[: handle.bytes])
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code), path)


_libc = ctypes.CDLL(None, use_errno=True)
_libc.fanotify_mark.argtypes = (ctypes.c_int, ctypes.c_uint, ctypes.c_uint64, ctypes.c_int, ctypes.c_char_p)
