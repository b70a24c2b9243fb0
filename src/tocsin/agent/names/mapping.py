"""From a lookup to an event of the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from tocsin.agent.names.message import RCODES
from tocsin.agent.names.packet import UDP
from tocsin.model.event import Event, Value

if TYPE_CHECKING:
    from tocsin.agent.names.lookups import Lookup
    from tocsin.agent.names.message import Message

__all__ = ["DNS_ACTIVITY", "LOG_NAME", "map_lookup"]

DNS_ACTIVITY: Final = 4003
LOG_NAME: Final = "dns"
QUERY, RESPONSE, TRAFFIC = 1, 2, 6
SUCCESS, FAILURE = 1, 2
INBOUND, OUTBOUND = 1, 2
_OTHER_RCODE: Final = 99
_EVERY_EVENT: Final[dict[str, Value]] = {
    "severity_id": 1,
    "device.type_id": 1,
    "device.os.name": "Linux",
    "device.os.type_id": 200,
}


def map_lookup(lookup: Lookup) -> Event:
    """Traffic if it was answered, a Query if not, a Response if nobody here is known to have asked."""
    flow, question = lookup.flow, lookup.question
    values: dict[str, Value] = {
        **_EVERY_EVENT,
        **lookup.actor,
        "time": lookup.time_ms,
        "activity_id": QUERY if lookup.response is None else TRAFFIC if lookup.asked else RESPONSE,
        "metadata.log_name": LOG_NAME,
        "metadata.event_code": question.type,
        "query.hostname": question.name,
        "query.type": question.type,
        "src_endpoint.ip": flow.client,
        "src_endpoint.port": flow.client_port,
        "dst_endpoint.ip": flow.server,
        "dst_endpoint.port": flow.server_port,
        "connection_info.protocol_name": "udp" if flow.protocol == UDP else "tcp",
        "connection_info.protocol_num": flow.protocol,
        "connection_info.direction_id": OUTBOUND if lookup.is_local else INBOUND,
    }
    if lookup.response is not None:
        values |= _answered(lookup.response)
        values["response_time"] = lookup.done_ms
    return Event(DNS_ACTIVITY, values)


def _answered(response: Message) -> dict[str, Value]:
    code = response.rcode
    values: dict[str, Value] = {
        "rcode": RCODES.get(code, str(code)),
        "rcode_id": code if code in RCODES else _OTHER_RCODE,
        "status_id": FAILURE if code else SUCCESS,
    }
    if response.answers:
        values["answers"] = msgspec.json.encode([answer._asdict() for answer in response.answers]).decode()
    return values
