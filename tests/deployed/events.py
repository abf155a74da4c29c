"""Connection events of a simulated fleet, and Twilio's signature over them."""

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timezone

from processes import FLEET

TYPE = "com.twilio.iot.supersim.connection."

# The device that the fleet's policy knows, and a thief's: 8 digits of model, 6 of device, 1 more.
SENSOR, TABLET = "353785720000014", "359254066916230"


@dataclass
class Card:
    """One SIM."""

    name: str
    sid: str
    iccid: str


def card(name: str, number: int) -> Card:
    return Card(name, "HS" + secrets.token_hex(16), f"89883070000{number:08}")


def event(kind: str, sim: Card, imei: str, **more) -> dict:
    """An event of this kind that happens now."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    sid = "EZ" + secrets.token_hex(16)
    data = {
        "event_sid": sid,
        "event_type": TYPE + kind,
        "timestamp": now,
        "account_sid": "AC" + "0" * 32,
        "sim_sid": sim.sid,
        "sim_iccid": sim.iccid,
        "sim_unique_name": sim.name,
        "fleet_sid": FLEET,
        "imei": imei,
        "network": {"mcc": "310", "mnc": "260", "iso_country": "US"},
        **more,
    }
    if kind == "data-session.started":
        data |= {"data_session_sid": "PI" + secrets.token_hex(16), "data_session_start_time": now}
    return {
        "specversion": "1.0",
        "type": TYPE + kind,
        "source": f"/v1/SuperSim/ConnectionEvents/{sid}",
        "id": sid,
        "dataschema": "https://events-schemas.twilio.com/SuperSim.ConnectionEvent/2",
        "datacontenttype": "application/json",
        "time": now,
        "data": data,
    }


def started(sim: Card, imei: str) -> dict:
    return event("data-session.started", sim, imei)


def rejected(sim: Card, imei: str) -> dict:
    """The network refuses the SIM, because it is inactive."""
    error = {"code": 83705, "message": "SIM is inactive"}
    return event("attachment.rejected", sim, imei, error=error)


def signed(url: str, body: bytes, auth_token: str) -> tuple[str, str]:
    """The query that Twilio adds, and its signature over the URL with it."""
    query = "bodySHA256=" + hashlib.sha256(body).hexdigest()
    mac = hmac.new(auth_token.encode(), f"{url}?{query}".encode(), hashlib.sha1)
    return query, base64.b64encode(mac.digest()).decode()


def body_of(*events: dict) -> bytes:
    return json.dumps(events).encode()
