"""The batch on the wire: columns of events, compressed, signed, and chained to the batch before.

    envelope = msgpack [header, body, signature, tombstone]
    header   = msgpack BatchHeader; its SHA-256 is the batch's hash, which the sender's next batch names as `previous`
    body     = zstd(msgpack [Section, ...]), one section per event class, its SHA-256 in the header
    signature, tombstone = Ed25519 by the agent's key

The signature covers the header and through its digest the body, so a header still proves its place in the chain after
its body was dropped: such an envelope carries an empty body and a second signature, the tombstone.

Nulls: code 0 of a dictionary column is null; an integer column has a byte mask if any value is null.
"""

from __future__ import annotations

import array
import hashlib
import itertools
import threading
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec
import zstandard

from tocsin.model.errors import BadSignature, InvalidBatch
from tocsin.model.event import Event, Record, Value
from tocsin.model.schema import CLASSES, Kind, attribute

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_ROWS",
    "BatchHeader",
    "ChainPosition",
    "Column",
    "Envelope",
    "RecordColumns",
    "Section",
    "Signer",
    "Verifier",
    "decode_body",
    "decode_envelope",
    "decode_events",
    "encode_sections",
    "expand",
    "seal",
    "tombstone",
    "verify",
]

VERSION = 1
MAX_ROWS = 65_535
MAX_BODY_BYTES = 64 * 1024 * 1024
_TOMBSTONE = b"tocsin tombstone\0"
_RECORD_END = "\0"
_BITS_OF_BYTE, _BITS_OF_INT = 8, 32
_CODES = {1: "B", 2: "H"}
_INTEGERS = {1: "b", 4: "i", 8: "q"}
_BYTES = bytes(range(256))

# What batches decode to forms no cycles: without gc=False a server spends more on looking for some than on decoding.


class BatchHeader(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a batch says about itself; all of it signed."""

    version: int
    org: str
    agent: str
    boot_id: str
    epoch: int  # grows with every start of the agent
    sequence: int  # 0, 1, 2, ... within the epoch
    previous: bytes  # hash of batch sequence-1 of this epoch, of the last one of the epoch before, or empty
    created_at: int  # ms
    priority: int  # 0 security-critical, 1 normal, 2 bulk: what may be dropped goes by batch
    rows: int
    not_kept: dict[str, int]  # events that this batch should have held, by reason
    body_bytes: int  # before compression
    body_sha256: bytes

    @property
    def origin(self) -> str:
        """Where the events happened; a host's origin is its agent."""
        return self.agent

    def hash(self) -> bytes:
        """What the sender's next batch must name as `previous`."""
        return hashlib.sha256(_encode(self)).digest()


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A batch as it travels: header and body still encoded, since signatures are over bytes."""

    header: bytes
    body: bytes
    signature: bytes
    tombstone: bytes = b""


class Column(msgspec.Struct, array_like=True, gc=False):
    """One attribute of all rows of a section.

    constant: every row has this value.
    dictionary, codes: row i has dictionary[code-1], null for code 0; codes are unsigned, `width` bytes each.
    integers: signed, `width` bytes each; `nulls` has a byte 1 where the value is null, or is empty.
    """

    path: str
    constant: Value | None = None
    dictionary: list[str] | None = None
    codes: bytes = b""
    integers: bytes = b""
    nulls: bytes = b""
    width: int = 0


class RecordColumns(msgspec.Struct, array_like=True, gc=False):
    """The source's records of all rows: per row a count, per record a shape, and every value in one text.

    shapes: [type, key, key, ...]; values of record r are the next len(shape)-1 of `values`, which are joined by NUL.
    """

    shapes: list[list[str]]
    counts: bytes  # uint16 per row
    shape_of: bytes  # uint16 per record
    values: bytes


class Section(msgspec.Struct, array_like=True, gc=False):
    """All events of one class in a batch.

    Attributes that events share (`Event.shared`) are columns over the distinct ones, and per row the number of its own;
    `decode_body` expands them, so that whoever reads a section finds all attributes in `columns`.
    """

    class_uid: int
    rows: int
    columns: list[Column]
    records: RecordColumns | None = None
    shared: list[Column] = []
    shared_rows: int = 0
    shared_of: bytes = b""  # uint16 per row


class Signer(Protocol):
    """Signs with the sender's private key (Ed25519PrivateKey has this shape)."""

    def sign(self, data: bytes, /) -> bytes: ...


class Verifier(Protocol):
    """Checks a signature of the sender (Ed25519PublicKey has this shape); raises if it is wrong."""

    def verify(self, signature: bytes, data: bytes, /) -> None: ...


_of_thread = threading.local()
_encode = msgspec.msgpack.Encoder().encode
_decode_envelope = msgspec.msgpack.Decoder(Envelope).decode
_decode_header = msgspec.msgpack.Decoder(BatchHeader).decode
_decode_sections = msgspec.msgpack.Decoder(list[Section]).decode


def encode_sections(events: Iterable[Event]) -> list[Section]:
    """Events as columns, one section per class, rows in the order given within each class."""
    by_class: dict[int, list[Event]] = {}
    for event in events:
        by_class.setdefault(event.class_uid, []).append(event)
    return [_section(uid, rows) for uid, rows in by_class.items()]


def _section(class_uid: int, events: list[Event]) -> Section:
    values = [event.values for event in events]
    paths = dict.fromkeys(itertools.chain.from_iterable(values))
    has_records = any(event.records for event in events)
    records = _record_columns(events) if has_records else None
    distinct = {id(event.shared): event.shared for event in events}
    shared_paths = dict.fromkeys(itertools.chain.from_iterable(distinct.values()))
    if not shared_paths:
        return Section(class_uid, len(events), _columns(paths, values), records)
    in_both = [path for path in paths if path in shared_paths]
    for path in in_both:  # some events share it and others have it to themselves
        del paths[path], shared_paths[path]
    columns = _columns(paths, values)
    if in_both:
        columns += _columns(in_both, [event.shared | event.values for event in events])
    number = dict(zip(distinct, range(len(distinct)), strict=True))
    shared_of = array.array("H", [number[id(event.shared)] for event in events]).tobytes()
    shared = _columns(shared_paths, list(distinct.values()))
    return Section(class_uid, len(events), columns, records, shared, len(distinct), shared_of)


def _columns(paths: Iterable[str], rows: list[dict[str, Value]]) -> list[Column]:
    return [_column(path, [row.get(path) for row in rows]) for path in paths]


def _column(path: str, values: list[Value | None]) -> Column:
    known = attribute(path)
    if known is not None and known.kind in (Kind.INTEGER, Kind.TIMESTAMP, Kind.BOOLEAN):
        return _integer_column(path, values)
    return _dictionary_column(path, values)


def _dictionary_column(path: str, values: list[Value | None]) -> Column:
    distinct = dict.fromkeys(values)
    if len(distinct) == 1:
        return Column(path, constant=values[0])
    distinct.pop(None, None)
    codes: dict[Value | None, int] = dict(zip(distinct, range(1, len(distinct) + 1), strict=True))
    codes[None] = 0
    numbers = map(codes.__getitem__, values)
    texts = list(map(str, distinct))
    # bytes() takes an iterator twice as fast as array() does.
    if len(codes) >> 8 == 0:
        return Column(path, dictionary=texts, codes=bytes(numbers), width=1)
    return Column(path, dictionary=texts, codes=array.array("H", list(numbers)).tobytes(), width=2)


def _integer_column(path: str, values: list[Value | None]) -> Column:
    nulls = b""
    if None in values:
        nulls = bytes(value is None for value in values)
        values = [0 if value is None else value for value in values]
    numbers: list[int] = values  # type: ignore[assignment]  # the schema says integer, and nulls are gone
    low, high = min(numbers), max(numbers)
    if low == high and not nulls:
        return Column(path, constant=low)
    bits = max(high.bit_length(), (~low).bit_length())
    packed = array.array("b" if bits < _BITS_OF_BYTE else "i" if bits < _BITS_OF_INT else "q", numbers)
    return Column(path, integers=packed.tobytes(), nulls=nulls, width=packed.itemsize)


def _record_columns(events: list[Event]) -> RecordColumns:
    shapes: dict[tuple[str, tuple[str, ...]], int] = {}
    # Sources share one tuple of keys between records of a shape, and its identity is faster to look up than its hash.
    by_identity: dict[tuple[str, int], tuple[int, tuple[str, ...]]] = {}
    counts = array.array("H", [len(event.records) for event in events])
    shape_of: list[int] = []
    values: list[str] = []
    for event in events:
        for record in event.records:
            keys = record.keys
            known = by_identity.get((record.type, id(keys)))
            if known is None:
                # Kept with its keys: while they live, nothing else has their identity.
                known = shapes.setdefault((record.type, keys), len(shapes)), keys
                by_identity[record.type, id(keys)] = known
            shape_of.append(known[0])
            values += record.values
    return RecordColumns(
        [[type_, *keys] for type_, keys in shapes],
        counts.tobytes(),
        array.array("H", shape_of).tobytes(),
        _join(values),
    )


def _join(values: list[str]) -> bytes:
    text = _RECORD_END.join(values)
    if text.count(_RECORD_END) >= len(values) > 0:
        text = _RECORD_END.join(value.replace(_RECORD_END, "\u2400") for value in values)
    return text.encode("utf-8", "backslashreplace")


class ChainPosition(msgspec.Struct, frozen=True):
    """Where a sender's next batch belongs."""

    org: str
    agent: str
    boot_id: str
    epoch: int
    sequence: int
    previous: bytes

    def after(self, batch_hash: bytes) -> ChainPosition:
        """The position that follows once the batch here has that hash."""
        return msgspec.structs.replace(self, sequence=self.sequence + 1, previous=batch_hash)


def seal(
    sections: Sequence[Section],
    position: ChainPosition,
    signer: Signer,
    *,
    created_at: int,
    priority: int = 1,
    not_kept: dict[str, int] | None = None,
) -> tuple[bytes, bytes]:
    """Encode, compress and sign a batch.

    Returns the envelope's bytes and the batch's hash, which `position.after` takes.
    """
    plain = _encode(list(sections))
    header = BatchHeader(
        VERSION,
        position.org,
        position.agent,
        position.boot_id,
        position.epoch,
        position.sequence,
        position.previous,
        created_at,
        priority,
        sum(section.rows for section in sections),
        not_kept or {},
        len(plain),
        hashlib.sha256(plain).digest(),
    )
    encoded = _encode(header)
    return _encode(Envelope(encoded, _compress(plain), signer.sign(encoded))), hashlib.sha256(encoded).digest()


def _compress(plain: bytes) -> bytes:
    """A compressor's tables take longer to make than a small batch to compress; no two threads may use one at once."""
    compressor: zstandard.ZstdCompressor | None = getattr(_of_thread, "compressor", None)
    if compressor is None:
        compressor = _of_thread.compressor = zstandard.ZstdCompressor(level=3)
    return compressor.compress(plain)


def tombstone(envelope: bytes, signer: Signer) -> bytes:
    """The same batch without its body: what is left in the chain of a batch that had to be dropped."""
    whole = _decode_envelope(envelope)
    return _encode(Envelope(whole.header, b"", whole.signature, signer.sign(_TOMBSTONE + whole.header)))


def decode_envelope(data: bytes) -> tuple[Envelope, BatchHeader]:
    """Open an envelope as far as its header; nothing is verified or decompressed yet.

    Raises:
        InvalidBatch: truncated, not msgpack, of another version, or with impossible sizes.
    """
    try:
        envelope = _decode_envelope(data)
        header = _decode_header(envelope.header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidBatch(f"the batch cannot be read: {error}") from error
    if header.version != VERSION:
        raise InvalidBatch(f"batch version {header.version} is not known here; this is version {VERSION}")
    if not 0 <= header.body_bytes <= MAX_BODY_BYTES:
        raise InvalidBatch(f"the batch says it holds {header.body_bytes} bytes; at most {MAX_BODY_BYTES} are taken")
    if not 0 <= header.rows <= MAX_ROWS or header.sequence < 0 or header.epoch < 0:
        raise InvalidBatch(f"the batch's counts make no sense: {header.rows} rows, sequence {header.sequence}")
    return envelope, header


def verify(envelope: Envelope, verifier: Verifier) -> None:
    """Check that the sender signed this header, and its tombstone if it has no body.

    Raises:
        BadSignature: it did not.
    """
    try:
        verifier.verify(envelope.signature, envelope.header)
        if not envelope.body:
            verifier.verify(envelope.tombstone, _TOMBSTONE + envelope.header)
    except Exception as error:
        # The verifier's library has an exception of its own, which the model does not import.
        raise BadSignature("the batch's signature is not the sender's") from error


def decode_body(envelope: Envelope, header: BatchHeader) -> list[Section]:
    """Decompress and decode the sections; never inflates beyond what the signed header says.

    Raises:
        InvalidBatch: the body is not the one that was signed.
    """
    if not envelope.body:
        return []
    try:
        plain = zstandard.ZstdDecompressor().decompress(envelope.body, max_output_size=max(header.body_bytes, 1))
    except zstandard.ZstdError as error:
        raise InvalidBatch(f"the batch's body cannot be decompressed: {error}") from error
    if len(plain) != header.body_bytes or hashlib.sha256(plain).digest() != header.body_sha256:
        raise InvalidBatch("the batch's body is not the one that was signed")
    try:
        sections = _decode_sections(plain)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidBatch(f"the batch's body cannot be read: {error}") from error
    for section in sections:
        _check(section)
        expand(section)
    return sections


def _check(section: Section) -> None:
    if section.class_uid not in CLASSES:
        raise InvalidBatch(f"the batch holds events of an unknown class {section.class_uid}")
    rows = section.rows
    for column in section.columns:
        if not _sound(column, rows):
            raise InvalidBatch(f"column {column.path} does not fit its {rows} rows")
    for column in section.shared:
        if not _sound(column, section.shared_rows):
            raise InvalidBatch(f"column {column.path} does not fit its {section.shared_rows} shared rows")
    if section.shared and not _sound_sharing(section):
        raise InvalidBatch(f"the shared attributes do not fit their {section.rows} rows")
    paths = {column.path for column in section.columns}
    paths.update([column.path for column in section.shared])
    if len(paths) != len(section.columns) + len(section.shared):
        raise InvalidBatch("an attribute comes twice in one section")
    if section.records is not None and not _sound_records(section.records, section.rows):
        raise InvalidBatch(f"the records do not fit their {section.rows} rows")


def _sound(column: Column, rows: int) -> bool:
    dictionary = column.dictionary
    if dictionary is not None:
        if column.width not in _CODES or len(column.codes) != rows * column.width:
            return False
        if column.width == 1:
            return not column.codes.translate(None, _BYTES[: len(dictionary) + 1])
        return max(array.array("H", column.codes), default=0) <= len(dictionary)
    if column.integers:
        fits = column.width in _INTEGERS and len(column.integers) == rows * column.width
        return fits and len(column.nulls) in (0, rows)
    return True


def _sound_sharing(section: Section) -> bool:
    shared_of = array.array("H", section.shared_of) if len(section.shared_of) % 2 == 0 else array.array("H")
    return len(shared_of) == section.rows and max(shared_of, default=-1) < section.shared_rows


def _sound_records(records: RecordColumns, rows: int) -> bool:
    if len(records.counts) != 2 * rows or len(records.shape_of) % 2:
        return False
    shape_of = array.array("H", records.shape_of)
    if sum(array.array("H", records.counts)) != len(shape_of) or any(not shape for shape in records.shapes):
        return False
    if max(shape_of, default=-1) >= len(records.shapes):
        return False
    widths = [len(shape) - 1 for shape in records.shapes]
    values = sum(map(widths.__getitem__, shape_of))
    return records.values.count(_RECORD_END.encode()) == max(values - 1, 0)


def expand(section: Section) -> None:
    """Make columns over all rows of the shared ones, as readers of sections expect; `decode_body` has done it."""
    if not section.shared:
        return
    shared_of = array.array("H", section.shared_of)
    section.columns += [_spread(column, shared_of) for column in section.shared]
    section.shared, section.shared_rows, section.shared_of = [], 0, b""


def _spread(column: Column, shared_of: array.array[int]) -> Column:
    """The column over all rows, from the column over the distinct shared attributes."""
    if column.dictionary is None and not column.integers:
        return column
    nulls = bytes(map(column.nulls.__getitem__, shared_of)) if column.nulls else b""
    typecode = _INTEGERS[column.width] if column.integers else _CODES[column.width]
    of_shared = array.array(typecode, column.integers or column.codes)
    spread = array.array(typecode, list(map(of_shared.__getitem__, shared_of))).tobytes()
    if column.integers:
        return Column(column.path, integers=spread, nulls=nulls, width=column.width)
    return Column(column.path, dictionary=column.dictionary, codes=spread, width=column.width)


def decode_events(section: Section) -> list[Event]:
    """Rows of a section as flat dicts, for tests and small tools; the server works on the columns."""
    columns = {column.path: _values(column, section.rows) for column in section.columns}
    rows = [{p: v for p, column in columns.items() if (v := column[i]) is not None} for i in range(section.rows)]
    return [Event(section.class_uid, row, records) for row, records in zip(rows, _unpack(section), strict=True)]


def _values(column: Column, rows: int) -> list[Value | None]:
    if column.dictionary is not None:
        codes = array.array(_CODES[column.width], column.codes)
        return [column.dictionary[code - 1] if code else None for code in codes]
    if column.integers:
        numbers = array.array(_INTEGERS[column.width], column.integers)
        return [None if column.nulls and column.nulls[i] else n for i, n in enumerate(numbers)]
    return [column.constant] * rows


class PlainRecord(msgspec.Struct, frozen=True):
    """A record read back from the wire."""

    type: str
    keys: tuple[str, ...]
    values: tuple[str, ...]


def _unpack(section: Section) -> list[tuple[Record, ...]]:
    packed = section.records
    if packed is None:
        return [()] * section.rows
    values = iter(packed.values.decode("utf-8").split(_RECORD_END))
    shape_of = iter(array.array("H", packed.shape_of))
    rows: list[tuple[Record, ...]] = []
    for count in array.array("H", packed.counts):
        shapes = [packed.shapes[next(shape_of)] for _ in range(count)]
        rows.append(tuple(PlainRecord(s[0], tuple(s[1:]), tuple(next(values) for _ in s[1:])) for s in shapes))
    return rows
