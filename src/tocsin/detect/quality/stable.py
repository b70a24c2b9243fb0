"""How far an attribute stays the same from day to day, and so is worth naming in a filter."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

__all__ = ["ATTACKERS_PLACES", "COMMON_PLACES", "stability"]

# Folders that say nothing about a program, and folders where anybody may put one.
COMMON_PLACES: Final = frozenset({"/usr/bin/", "/usr/sbin/", "/usr/lib/", "/usr/local/", "/usr/share/", "/var/lib/"})
ATTACKERS_PLACES: Final = ("/tmp/", "/var/tmp/", "/dev/shm/", "/home/", "/run/user/")  # noqa: S108  # not used as such

# The end of an attribute's path (ours, or a Sigma field's name) and what it is worth; the first that fits counts.
_WORTH: Final = tuple(
    (re.compile(rf"(?:^|\.)(?:{ends})$"), worth)
    for ends, worth in (
        # Of a program start the actor is the parent, and rules have a name for that.
        (r"actor\.process\.file\.path", 8.8),
        (r"(?<!parent_)process\.file\.path|Image|exe|ProcessName|NewProcessName|userAgent|client_app", 10.0),
        (r"parent_process\.file\.path|ParentImage|ParentProcessName", 9.0),
        (r"container\.image\.name|image\.uid|package\.name|invokedBy|svc_name", 9.0),
        (r"user\.name|User|SubjectUserName|username|userName|arn|principalId", 8.0),
        (r"(?<!parent_)process\.name|api\.operation|eventName|verb|driver\.file\.path", 6.5),
        (r"parent_process\.name", 6.0),
        (r"file\.path|file_result\.path|TargetFilename|TargetObject", 6.0),
        (r"cmd_line|CommandLine|ParentCommandLine", 5.0),
        (r"dst_endpoint\.(?:ip|hostname|port)|DestinationIp|DestinationHostname|query\.hostname|QueryName", 5.0),
        (r"working_directory|CurrentDirectory|file\.parent_folder", 4.0),
        (r"src_endpoint\.ip|SourceIp|sourceIPAddress|sourceIPs", 4.0),
        (r"device\.hostname|hostname|Computer|cloud\.account\.uid|cloud\.region", 3.0),
        (r"user\.uid|group\.name|ServiceName|Channel|Provider_Name|awsRegion", 3.0),
    )
)
_OTHER: Final = 2.0
# New in every event, made up by whoever recorded it, or said by the event's class already.
_NEVER: Final = re.compile(
    r"^(?:metadata|unmapped\.audit|enrichments|observables)\."
    r"|^(?:time|start_time|end_time|message|raw_data|count|duration|severity_id|class_uid|category_uid|type_uid|org|origin)"
    r"|(?:^|[._])(?:p?pid|tid|ses|session|serial|sequence|epoch|created_time|activity_id|activity_name|type_id|status_id)$"
    r"|\.(?:terminal|tty|session\.uid|created_time_dt|inode|rules?)$"
    r"|(?:Guid|GUID|Time|time|Timestamp|timestamp|Date|Id|ID|_at|_dt|Hashes|Port|nonce|token|Token)$"
    r"|(?:src_endpoint|source)\.port$"
    r"|ancestors|\.ids?\b|accessKeyId|sessionContext"
)
_OWN_UIDS: Final = re.compile(r"(?:process|event|device|endpoint|file|session)\.uid$")


@cache
def stability(path: str) -> float:
    """What an attribute is worth in a filter; 0 for one that must not be in it."""
    for ends, worth in _WORTH:
        if ends.search(path):
            return worth
    return 0.0 if _NEVER.search(path) or _OWN_UIDS.search(path) else _OTHER
