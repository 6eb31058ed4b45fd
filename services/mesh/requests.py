"""What makes a creation repeatable (AIP-155): a request id, and a digest of all else that was asked."""

from __future__ import annotations

import hashlib
from typing import TypeVar

from google.protobuf.message import Message

M = TypeVar("M", bound=Message)


def digest(request: M) -> bytes:
    """SHA-256 of a request but for its `request_id`."""
    asked = type(request)()
    asked.CopyFrom(request)
    asked.ClearField("request_id")
    return hashlib.sha256(asked.SerializeToString(deterministic=True)).digest()
