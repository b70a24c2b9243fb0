"""Classes of connections and what is asked over them."""

from __future__ import annotations

from tocsin.model.schema.attribute import integer, json, text, timestamp
from tocsin.model.schema.event_class import EventClass
from tocsin.model.schema.shared import ACTOR, endpoint

__all__ = ["NETWORK"]

NETWORK = (
    EventClass(
        4001,
        "network_activity",
        "Network Activity",
        4,
        "Network Activity",
        {
            0: "Unknown",
            1: "Open",
            2: "Close",
            3: "Reset",
            4: "Fail",
            5: "Refuse",
            6: "Traffic",
            7: "Listen",
            99: "Other",
        },
        (
            *endpoint("src_endpoint", "the side that opened"),
            *endpoint("dst_endpoint", "the side that was opened to"),
            integer("connection_info.direction_id", "1 inbound, 2 outbound, 3 lateral"),
            text("connection_info.protocol_name", "tcp, udp, unix, netlink, ..."),
            integer("connection_info.protocol_num", "IP protocol number"),
            integer("traffic.bytes", "bytes in both directions", "bytes"),
            integer("traffic.packets", "packets in both directions"),
            *ACTOR,
        ),
    ),
    EventClass(
        4002,
        "http_activity",
        "HTTP Activity",
        4,
        "Network Activity",
        {
            0: "Unknown",
            1: "Connect",
            2: "Delete",
            3: "Get",
            4: "Head",
            5: "Options",
            6: "Post",
            7: "Put",
            8: "Trace",
            9: "Patch",
            99: "Other",
        },
        (
            text("http_request.http_method", "method"),
            text("http_request.url.url_string", "what was asked for, as the request line has it"),
            text("http_request.url.path", "path, without the query"),
            text("http_request.url.query_string", "what follows the question mark"),
            text("http_request.url.hostname", "host that was asked for"),
            text("http_request.referrer", "page that it came from"),
            text("http_request.user_agent", "user agent of the caller"),
            text("http_request.version", "protocol version"),
            integer("http_response.code", "status code"),
            integer("http_response.length", "length of the answer", "bytes"),
            *endpoint("src_endpoint", "the caller"),
            *endpoint("dst_endpoint", "the web server"),
            *ACTOR,
        ),
    ),
    EventClass(
        4003,
        "dns_activity",
        "DNS Activity",
        4,
        "Network Activity",
        {0: "Unknown", 1: "Query", 2: "Response", 6: "Traffic", 99: "Other"},
        (
            text("query.hostname", "name asked for"),
            text("query.type", "record type asked for"),
            json("answers", "answers: [{rdata, type, ttl}]"),
            text("rcode", "response code: NoError, NXDomain, Refused, ..."),
            integer("rcode_id", "response code as a number"),
            timestamp("response_time", "when the answer came"),
            *endpoint("src_endpoint", "who asked"),
            *endpoint("dst_endpoint", "the resolver"),
            integer("connection_info.direction_id", "1 asked by another host, 2 asked by this one"),
            text("connection_info.protocol_name", "udp, tcp"),
            integer("connection_info.protocol_num", "IP protocol number"),
            text("unmapped.process_found_by", "how the agent knows who asked: socket, or the connect before the query"),
            *ACTOR,
        ),
    ),
)
