"""Webhooks in the Standard Webhooks format: id, timestamp and HMAC-SHA256 signature in the headers.

Source: Standard Webhooks specification 1.0.0 (standardwebhooks.com).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

import httpx
import msgspec

from tocsin.model.errors import BadInput, InvalidSetting, Unreachable

__all__ = ["Webhook", "sign"]

_GONE = 410
_PREFIX = "whsec_"
_TIMEOUT_S = 10.0


def sign(secret: str, key: str, timestamp: int, body: bytes) -> str:
    """The value of the webhook-signature header.

    Raises:
        InvalidSetting: the secret is not whsec_ and base64.
    """
    try:
        raw = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise InvalidSetting("a webhook's secret is whsec_ followed by base64") from error
    digest = hmac.new(raw, f"{key}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class Webhook:
    """Sends to one URL; redirects are not followed, since the signature was made for this receiver."""

    def __init__(self, client: httpx.Client, url: str, secret: str) -> None:
        self._client, self._url, self._secret = client, url, secret

    def send(self, key: str, payload: Mapping[str, object], now_s: float) -> None:
        """Deliver, or raise; any 2xx answer counts as delivered.

        Raises:
            Unreachable: no answer, or one that is not 2xx: try later.
            BadInput: 410, the receiver is gone for good.
        """
        body = msgspec.json.encode(payload)
        headers = {
            "content-type": "application/json",
            "webhook-id": key,
            "webhook-timestamp": str(int(now_s)),
            "webhook-signature": sign(self._secret, key, int(now_s), body),
        }
        try:
            answer = self._client.post(self._url, content=body, headers=headers, timeout=_TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        if answer.status_code == _GONE:
            raise BadInput("the receiver answered 410 Gone")
        if not answer.is_success:
            raise Unreachable(f"the receiver answered {answer.status_code}")
