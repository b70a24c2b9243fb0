"""libbpf, as much of it as it takes to load an object, attach its programs and reach its maps.

Source: libbpf.h (API of version 1.0); bpf(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import TYPE_CHECKING, Any, Final, Self

from tocsin.model.errors import NotAvailable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["LoadedObject"]

LIBRARY: Final = "libbpf.so.1"
WARNING: Final = 0  # the levels of libbpf's messages
_LONGEST_MESSAGE: Final = 4096
_LONGEST_REMARK: Final = 160
_PROGRAM_INFO_SIZE: Final = 256
_RECURSION_MISSES_AT: Final = 208  # in struct bpf_prog_info, since Linux 5.12
_Print = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

# Name, result, parameters; what returns a pointer returns null and sets errno on failure.
_FUNCTIONS: Final[tuple[tuple[str, Any, tuple[Any, ...]], ...]] = (
    ("bpf_object__open_file", ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_void_p)),
    ("bpf_object__load", ctypes.c_int, (ctypes.c_void_p,)),
    ("bpf_object__close", None, (ctypes.c_void_p,)),
    ("bpf_object__find_program_by_name", ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    ("bpf_object__find_map_by_name", ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    ("bpf_program__set_autoload", ctypes.c_int, (ctypes.c_void_p, ctypes.c_bool)),
    ("bpf_program__attach", ctypes.c_void_p, (ctypes.c_void_p,)),
    ("bpf_program__fd", ctypes.c_int, (ctypes.c_void_p,)),
    ("bpf_link__destroy", ctypes.c_int, (ctypes.c_void_p,)),
    ("bpf_map__set_max_entries", ctypes.c_int, (ctypes.c_void_p, ctypes.c_uint32)),
    ("bpf_map__fd", ctypes.c_int, (ctypes.c_void_p,)),
    ("bpf_map_lookup_elem", ctypes.c_int, (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)),
    ("bpf_obj_get_info_by_fd", ctypes.c_int, (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)),
    ("libbpf_set_print", ctypes.c_void_p, (_Print,)),
)


class LoadedObject:
    """An object file whose programs are in the kernel; `attach` sets them going, `close` takes them out."""

    def __init__(self, library: ctypes.CDLL, handle: int, remarks: _Remarks) -> None:
        self._library, self._handle, self._remarks = library, handle, remarks
        self._links: list[int] = []

    @classmethod
    def load(cls, path: Path, *, without: Iterable[str] = (), ring: str, ring_bytes: int) -> Self:
        """Load an object file but for some of its programs, its ring buffer of that size.

        Raises:
            NotAvailable: says what is missing, and what would mend it.
        """
        library = _library()
        remarks = _Remarks(library)
        handle = library.bpf_object__open_file(os.fsencode(path), None)
        if not handle:
            raise NotAvailable(f"{path} cannot be opened as a BPF object: {_reason(remarks)}")
        loaded = cls(library, handle, remarks)
        for name in without:
            library.bpf_program__set_autoload(loaded._program(name), 0)
        library.bpf_map__set_max_entries(library.bpf_object__find_map_by_name(handle, ring.encode()), ring_bytes)
        if library.bpf_object__load(handle):
            reason = _reason(remarks)
            loaded.close()
            raise NotAvailable(f"the kernel did not take the programs: {reason}")
        return loaded

    def attach(self, *programs: str) -> None:
        """Have the kernel run these programs from now on.

        Raises:
            NotAvailable: the kernel lacks what one of them is attached to.
        """
        for name in programs:
            link = self._library.bpf_program__attach(self._program(name))
            if not link:
                raise NotAvailable(f"program {name} cannot be attached: {_reason(self._remarks)}")
            self._links.append(link)

    def map_descriptor(self, name: str) -> int:
        """The file descriptor of a map."""
        found = self._library.bpf_object__find_map_by_name(self._handle, name.encode())
        return int(self._library.bpf_map__fd(found))

    def count(self, name: str, key: int) -> int:
        """A number from an array of 64-bit counters."""
        number, value = ctypes.c_uint32(key), ctypes.c_uint64()
        failed = self._library.bpf_map_lookup_elem(self.map_descriptor(name), ctypes.byref(number), ctypes.byref(value))
        return 0 if failed else value.value

    def misses(self, program: str) -> int:
        """How often the kernel did not run a program as it, or another on the same CPU, was running already."""
        described, size = ctypes.create_string_buffer(_PROGRAM_INFO_SIZE), ctypes.c_uint32(_PROGRAM_INFO_SIZE)
        descriptor = self._library.bpf_program__fd(self._program(program))
        if self._library.bpf_obj_get_info_by_fd(descriptor, described, ctypes.byref(size)):
            return 0
        return int(struct.unpack_from("=Q", described, _RECURSION_MISSES_AT)[0])

    def close(self) -> None:
        """Detach and unload everything."""
        for link in self._links:
            self._library.bpf_link__destroy(link)
        self._links.clear()
        if self._handle:
            self._library.bpf_object__close(self._handle)
            self._handle = 0

    def _program(self, name: str) -> int:
        return int(self._library.bpf_object__find_program_by_name(self._handle, name.encode()))


class _Remarks:
    """What libbpf says, of which the last warning is the reason when something fails."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.last = ""
        self._print = _Print(self._take)
        library.libbpf_set_print(self._print)

    def _take(self, level: int, pattern: bytes, arguments: int) -> int:
        if level == WARNING:
            text = ctypes.create_string_buffer(_LONGEST_MESSAGE)
            _libc.vsnprintf(text, _LONGEST_MESSAGE, pattern, ctypes.c_void_p(arguments))
            line = text.value.decode("utf-8", "replace").removeprefix("libbpf: ").strip().partition("\n")[0]
            self.last = line[:_LONGEST_REMARK]
        return 0


_libc = ctypes.CDLL(None)


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError as error:
        raise NotAvailable(f"{LIBRARY} is not installed: install libbpf1 (Debian) or libbpf (Fedora)") from error
    for name, result, parameters in _FUNCTIONS:
        function = getattr(library, name)
        function.restype, function.argtypes = result, parameters
    return library


def _reason(remarks: _Remarks) -> str:
    code = ctypes.get_errno()
    said = f" ({remarks.last})" if remarks.last else ""
    if code in {errno.EPERM, errno.EACCES} and os.geteuid() != 0:
        return "it needs root, or the capabilities CAP_BPF and CAP_PERFMON"
    if code == errno.EPERM:
        return "CAP_BPF and CAP_PERFMON are missing, or the kernel is locked down"
    return (os.strerror(code) if code else "no reason given") + said
