"""libbpf, as much of it as it takes to load an object, attach its programs and reach its maps.

Source: libbpf.h (API of version 1.0).
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import TYPE_CHECKING, Any, Final, Self

from tocsin.model.errors import NotAvailable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LoadedObject"]

LIBRARY: Final = "libbpf.so.1"
WARNING: Final = 0  # the level of libbpf's messages that matters here
_LONGEST_MESSAGE: Final = 4096
_LONGEST_REMARK: Final = 160
_Print = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

# Name, result, parameters; what returns a pointer returns null and sets errno on failure.
_FUNCTIONS: Final[tuple[tuple[str, Any, tuple[Any, ...]], ...]] = (
    ("bpf_object__open_file", ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_void_p)),
    ("bpf_object__load", ctypes.c_int, (ctypes.c_void_p,)),
    ("bpf_object__find_program_by_name", ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    ("bpf_object__find_map_by_name", ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    ("bpf_object__next_program", ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_void_p)),
    ("bpf_program__name", ctypes.c_char_p, (ctypes.c_void_p,)),
    ("bpf_program__set_autoload", ctypes.c_int, (ctypes.c_void_p, ctypes.c_bool)),
    ("bpf_program__attach", ctypes.c_void_p, (ctypes.c_void_p,)),
    ("bpf_program__fd", ctypes.c_int, (ctypes.c_void_p,)),
    ("bpf_link__fd", ctypes.c_int, (ctypes.c_void_p,)),
    ("bpf_map__set_max_entries", ctypes.c_int, (ctypes.c_void_p, ctypes.c_uint32)),
    ("bpf_map__fd", ctypes.c_int, (ctypes.c_void_p,)),
    ("libbpf_set_print", ctypes.c_void_p, (_Print,)),
)


class LoadedObject:
    """An object file whose programs are in the kernel, for as long as this process or a receiver keeps descriptors."""

    def __init__(self, library: ctypes.CDLL, handle: int, remarks: _Remarks) -> None:
        self._library, self._handle, self._remarks = library, handle, remarks

    @classmethod
    def load(cls, path: Path, programs: tuple[str, ...], ring: str, ring_bytes: int) -> Self:
        """Load these programs of an object file, and its maps, the ring buffer of that size.

        Raises:
            NotAvailable: says what is missing, and what would mend it.
        """
        library = _library()
        remarks = _Remarks(library)
        handle = library.bpf_object__open_file(os.fsencode(path), None)
        if not handle:
            raise NotAvailable(f"{path} cannot be opened as a BPF object: {_reason(remarks)}")
        program = library.bpf_object__next_program(handle, None)
        while program:
            wanted = library.bpf_program__name(program).decode() in programs
            library.bpf_program__set_autoload(program, wanted)
            program = library.bpf_object__next_program(handle, program)
        library.bpf_map__set_max_entries(library.bpf_object__find_map_by_name(handle, ring.encode()), ring_bytes)
        if library.bpf_object__load(handle):
            raise NotAvailable(f"the kernel did not take the programs: {_reason(remarks)}")
        return cls(library, handle, remarks)

    def attach(self, program: str) -> int:
        """Have the kernel run a program for as long as somebody has this descriptor.

        Raises:
            NotAvailable: the kernel lacks what the program is attached to.
        """
        link = self._library.bpf_program__attach(self._program(program))
        if not link:
            raise NotAvailable(f"program {program} cannot be attached: {_reason(self._remarks)}")
        return int(self._library.bpf_link__fd(link))

    def map_descriptor(self, name: str) -> int:
        """The file descriptor of a map."""
        found = self._library.bpf_object__find_map_by_name(self._handle, name.encode())
        return int(self._library.bpf_map__fd(found))

    def program_descriptor(self, name: str) -> int:
        """The file descriptor of a program."""
        return int(self._library.bpf_program__fd(self._program(name)))

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
    if code in {errno.EPERM, errno.EACCES}:
        return "it needs the capabilities CAP_BPF and CAP_PERFMON, and a kernel that is not locked down"
    said = f" ({remarks.last})" if remarks.last else ""
    return (os.strerror(code) if code else "no reason given") + said
