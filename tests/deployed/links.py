"""Signed links, as the kill-switch writes them into alerts: shared/domain/src/signed_link.rs."""

import base64
import hashlib
import hmac
import struct
import time

RESTORE = 3
DAY_SECS = 86_400


def token(key: bytes, act: int, incident: str, name: str) -> str:
    """A link's token, as in the first alert of this incident, told now."""
    sim, _, opened_at_ms = incident.rpartition("-")
    content = struct.pack(">BB16sqIq", 1, act, bytes.fromhex(sim.removeprefix("HS")),
                          int(opened_at_ms), 1, int(time.time()) + DAY_SECS)
    content += name.encode()
    mac = hmac.new(key, b"simfuse signed link 1\0" + content, hashlib.sha256)
    return base64.urlsafe_b64encode(content + mac.digest()).decode().rstrip("=")
