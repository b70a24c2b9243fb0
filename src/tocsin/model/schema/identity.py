"""Classes of accounts, logins and groups."""

from __future__ import annotations

from tocsin.model.schema.attribute import boolean, integer, text
from tocsin.model.schema.event_class import EventClass
from tocsin.model.schema.shared import ACTOR, CALLER, SESSION, endpoint, user

__all__ = ["IDENTITY"]

IDENTITY = (
    EventClass(
        3001,
        "account_change",
        "Account Change",
        3,
        "Identity & Access Management",
        {
            0: "Unknown",
            1: "Create",
            2: "Enable",
            3: "Password Change",
            4: "Password Reset",
            5: "Disable",
            6: "Delete",
            7: "Attach Policy",
            8: "Detach Policy",
            9: "Lock",
            10: "MFA Factor Enable",
            11: "MFA Factor Disable",
            12: "Unlock",
            99: "Other",
        },
        (
            *user("user", "the account that changed"),
            text("policy.name", "policy attached or detached"),
            *endpoint("src_endpoint", "the caller"),
            *CALLER,
            *ACTOR,
        ),
    ),
    EventClass(
        3002,
        "authentication",
        "Authentication",
        3,
        "Identity & Access Management",
        {
            0: "Unknown",
            1: "Logon",
            2: "Logoff",
            3: "Authentication Ticket",
            4: "Service Ticket Request",
            5: "Service Ticket Renew",
            6: "Preauth",
            7: "Account Switch",
            99: "Other",
        },
        (
            *user("user", "the account that authenticates"),
            *endpoint("src_endpoint", "where the login comes from"),
            *endpoint("dst_endpoint", "what is logged in to"),
            text("service.name", "service that authenticates: sshd, sudo, login"),
            integer("auth_protocol_id", "OCSF authentication protocol"),
            text("auth_protocol", "authentication mechanism: password, publickey, PAM"),
            integer("logon_type_id", "OCSF logon type: 2 interactive, 3 network, 10 remote interactive"),
            boolean("is_remote", "whether the login comes over the network"),
            boolean("is_mfa", "whether a second factor was used"),
            *SESSION,
            *CALLER,
            *ACTOR,
        ),
    ),
    EventClass(
        3006,
        "group_management",
        "Group Management",
        3,
        "Identity & Access Management",
        {
            0: "Unknown",
            1: "Assign Privileges",
            2: "Revoke Privileges",
            3: "Add User",
            4: "Remove User",
            5: "Delete",
            6: "Create",
            99: "Other",
        },
        (
            text("group.name", "name of the group"),
            text("group.uid", "numeric group id, as text"),
            *user("user", "the account added or removed"),
            *endpoint("src_endpoint", "the caller"),
            *CALLER,
            *ACTOR,
        ),
    ),
)
