"""Signed links, as the kill-switch writes them into alerts, and hints, as it gives them to the
provider: shared/domain/src/signed_link.rs.
"""

import base64
import hashlib
import hmac
import struct
import time

RESTORE = 3
DAY_SECS = 86_400
# As many as a theft by one strange device has.
FINDINGS = 1


def token(key: bytes, act: int, incident: str, name: str) -> str:
    """A link's token, as in the first alert of this incident, told now."""
    sim, _, opened_at_ms = incident.rpartition("-")
    content = struct.pack(">BB16sqIIq", 1, act, bytes.fromhex(sim.removeprefix("HS")),
                          int(opened_at_ms), 1, FINDINGS, int(time.time()) + DAY_SECS)
    return signed(key, b"simfuse signed link 1\0", content + name.encode())


def hint(key: bytes, sim: str) -> str:
    """The token of a callback about this SIM."""
    expires_at = int(time.time()) + DAY_SECS
    content = struct.pack(">B16sq", 1, bytes.fromhex(sim.removeprefix("HS")), expires_at)
    return signed(key, b"simfuse hint 1\0", content)


def signed(key: bytes, domain: bytes, content: bytes) -> str:
    mac = hmac.new(key, domain + content, hashlib.sha256)
    return base64.urlsafe_b64encode(content + mac.digest()).decode().rstrip("=")
