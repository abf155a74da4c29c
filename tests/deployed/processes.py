"""The processes beside the deployed stack: an emulator of AWS, and the simulated Super SIM service.

Both listen on loopback only and end with the block that started them, whatever happens in it.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REGION = "us-east-1"

# The emulator's root: no policy binds it. Functions get the credentials of their own roles.
ROOT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

START_WITHIN_SECS = 30
STOP_WITHIN_SECS = 10
ANSWER_WITHIN_SECS = 10

FLEET = "HF" + secrets.token_hex(16)


def get_json(url: str):
    with urllib.request.urlopen(url, timeout=ANSWER_WITHIN_SECS) as answer:
        return json.load(answer)


def clean_environment() -> dict:
    """What a child needs of this environment, and nothing that would lead it to an account."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "USER", "LD_LIBRARY_PATH")
    return {name: os.environ[name] for name in kept if name in os.environ}


def stop(process: subprocess.Popen) -> None:
    """Ends a process that was started here, by its id."""
    process.terminate()
    try:
        process.wait(STOP_WITHIN_SECS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Emulator:
    """MiniStack, with IAM enforced."""

    endpoint: str
    log: Path

    def texted(self, phone: str) -> int:
        """How often a topic sent an SMS to this number: the emulator keeps no more of it."""
        return self.log.read_text().count(f"SNS fanout → SMS {phone} ")


@contextmanager
def emulator(program: Path):
    folder = Path(tempfile.mkdtemp(prefix="simfuse-deployed-"))
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        **clean_environment(),
        **ROOT,
        # The emulator hands it on to the functions, which would ask the real AWS without it.
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "s3"),
    }
    log = folder / "ministack.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program], env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until_healthy(process, f"{endpoint}/_ministack/health", log)
        yield Emulator(endpoint, log)
    finally:
        stop(process)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until_healthy(process: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN_SECS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            get_json(url)
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise RuntimeError(f"the emulator did not start:\n{log.read_text()[-4000:]}")


@dataclass
class SuperSim:
    """The simulated service, and one account at it."""

    origin: str
    account_sid: str
    auth_token: str

    def asked_for(self, sim: str) -> list[str]:
        """The statuses that were asked for this SIM, and answered."""
        requests = get_json(f"{self.origin}/journal")
        return [r["status"] for r in requests if r["sim"] == sim and r["answer"] in (200, 202)]


@contextmanager
def super_sim(program: Path, sims: list):
    account_sid, auth_token = "AC" + secrets.token_hex(16), secrets.token_hex(16)
    cards = [{"sid": s.sid, "iccid": s.iccid, "unique_name": s.name} for s in sims]
    account = {
        "account_sid": account_sid, "auth_token": auth_token, "fleet": FLEET, "sims": cards,
    }
    process = subprocess.Popen(
        [program], env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        process.stdin.write(json.dumps(account) + "\n")
        process.stdin.flush()
        origin = process.stdout.readline().strip()
        if not origin:
            raise RuntimeError("the simulated Super SIM service did not start")
        yield SuperSim(origin, account_sid, auth_token)
    finally:
        stop(process)
