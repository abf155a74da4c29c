"""The checks, in their order: each goes on from what the ones before it left."""

import json
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from botocore.exceptions import ClientError

from events import SENSOR, TABLET, Card, body_of, card, rejected, started
from links import RESTORE, hint, token
from processes import FLEET, SuperSim
from stack import NAME, PHONE, InvocationFailed, Stack

# A stream is delivered within a second here; the rest is for a busy machine.
STREAM_WITHIN_SECS = 30
# The schedule fires every minute.
SWEEP_WITHIN_SECS = 150
POLL_EVERY_SECS = 0.25


@dataclass
class World:
    """What the checks share: the stack, the provider, and the SIMs of a small fleet."""

    policy: Path
    provider: SuperSim = None
    stack: Stack = None
    posted: Card = field(default_factory=lambda: card("posted", 1))
    streamed: Card = field(default_factory=lambda: card("streamed", 2))
    manual: Card = field(default_factory=lambda: card("manual", 3))
    forged: Card = field(default_factory=lambda: card("forged", 4))
    denied: Card = field(default_factory=lambda: card("denied", 5))
    observed: Card = field(default_factory=lambda: card("observed", 6))
    by_tool: Card = field(default_factory=lambda: card("by-tool", 7))

    def sims(self) -> list[Card]:
        return [
            self.posted, self.streamed, self.manual, self.forged, self.denied, self.observed,
            self.by_tool,
        ]


def until(what: str, within_secs: float, look):
    """Asks until it is so, and says how long that took."""
    began = time.monotonic()
    while True:
        seen = look()
        took = time.monotonic() - began
        if seen:
            return f"({took:.1f} s)"
        assert took < within_secs, f"{what}: not within {within_secs} s"
        time.sleep(POLL_EVERY_SECS)


def equal(found, expected) -> None:
    assert found == expected, f"found {found!r}, expected {expected!r}"


# ── deployment ───────────────────────────────────────────────────────────────────────────────────


def deploys(world: World) -> str:
    """sam deploy makes the stack"""
    world.stack.deploy()
    return f"({len(world.stack.outputs)} outputs)"


def takes_a_policy(world: World) -> None:
    """simfuse policy apply: enforce, strict, the sensors' model, and news of one SIM"""
    policy = world.policy.read_text() + f'[sim."{world.posted.sid}".notify]\nevents = ["online"]\n'
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(policy)
        file.flush()
        world.stack.operate("policy", "apply", file.name, "--reason", "first")
    equal(world.stack.items("POLICY")["CURRENT"]["toml"]["S"], policy)


def alerts_can_be_read(world: World) -> None:
    """a queue listens to the topic as the operator's phone does"""
    world.stack.listen_to(PHONE)


# ── a theft ──────────────────────────────────────────────────────────────────────────────────────


def keeps_out_what_is_forged(world: World) -> None:
    """a bad signature is answered 403, and nothing is stored"""
    equal(world.stack.post(started(world.forged, TABLET), signature="Zm9yZ2Vk"), 403)
    equal(world.stack.items(f"EV#{world.forged.sid}"), {})


def leaves_sensors_alone(world: World) -> None:
    """a sensor's own event is taken in, and finds nothing"""
    equal(world.stack.post(started(world.posted, SENSOR)), 200)
    equal(list(world.stack.items(f"EV#{world.posted.sid}")), ["STATE"])
    equal(world.stack.items(f"FIND#{world.posted.sid}"), {})


def tells_news(world: World) -> str:
    """its news, which the policy asks for, are told through the stream"""
    sim = world.posted.sid
    return until("told", STREAM_WITHIN_SECS,
                 lambda: "NEWS#online" in world.stack.items(f"KS#{sim}"))


def kills_a_thief(world: World) -> str:
    """a thief's event, posted to the function's URL: 200, finding, stream, kill"""
    sim = world.posted.sid
    equal(world.stack.post(started(world.posted, TABLET)), 200)
    equal(list(world.stack.items(f"FIND#{sim}")), [f"device_not_allowed#{TABLET[:14]}"])
    return until("asked to deactivate", STREAM_WITHIN_SECS,
                 lambda: world.provider.asked_for(sim) == ["inactive"])


def texts_the_operator(world: World) -> str:
    """the operator gets an SMS about it"""
    texts = []

    def texted() -> list[str]:
        texts.extend(world.stack.alerts())
        return [t for t in texts if "deactivated" in t and world.posted.name in t]

    took = until("texted", STREAM_WITHIN_SECS, texted)
    [text] = texted()
    assert len(text) <= 160, text
    equal(world.stack.emulator.texted(PHONE), len(texts))
    return f"{took} {text}"


def kills_from_the_event_stream(world: World) -> str:
    """a thief's event through Kinesis, beside one that is none: the same"""
    sim = world.streamed.sid
    kinesis = world.stack.service("kinesis")
    for data in (b"no event", body_of(started(world.streamed, TABLET))):
        kinesis.put_record(StreamName="supersim-events", PartitionKey=sim, Data=data)
    return until("asked to deactivate", STREAM_WITHIN_SECS,
                 lambda: world.provider.asked_for(sim) == ["inactive"])


# ── by hand ──────────────────────────────────────────────────────────────────────────────────────


def answers_status(world: World) -> None:
    """status by the Lambda API: armed, and the thief's SIM in its stage"""
    status = world.stack.ask("status")["status"]
    equal((status["policy_mode"], status["armed"], status["stopped"]), ("enforce", "enforce", None))
    assert status["open"] >= 2 and status["last_alert"], status
    [answer] = world.stack.ask("status", world.posted.name)["sims"]
    equal(answer["found"]["status"], "inactive")
    equal([f["detector"] for f in answer["details"]["findings"]], ["device_not_allowed"])


def kills_and_restores_by_hand(world: World) -> None:
    """deactivate and restore by the Lambda API"""
    sim = world.manual
    [killed] = world.stack.ask("deactivate", sim.iccid, reason="reported stolen")["sims"]
    equal((killed["sim"], killed["outcome"]), (sim.sid, "done"))
    [restored] = world.stack.ask("restore", sim.name, reason="found")["sims"]
    equal((restored["sim"], restored["outcome"]), (sim.sid, "done"))
    equal(world.provider.asked_for(sim.sid), ["inactive", "active"])
    audit = [sk for sk in world.stack.items(f"KS#{sim.sid}") if sk.startswith("AUDIT#")]
    assert len(audit) >= 4, audit


def kills_and_restores_by_the_tool(world: World) -> None:
    """simfuse kill, restore and status --stack: the same by the tool"""
    sim = world.by_tool
    world.stack.operate("kill", sim.name, "--reason", "reported stolen")
    equal(world.provider.asked_for(sim.sid), ["inactive"])
    world.stack.operate("restore", sim.name, "--reason", "found")
    equal(world.provider.asked_for(sim.sid), ["inactive", "active"])
    equal(world.stack.operate("status")["status"]["armed"], "enforce")


def stops_and_resumes(world: World) -> None:
    """stop and resume by the Lambda API"""
    world.stack.ask("stop", reason="maintenance")
    equal(world.stack.ask("status")["status"]["stopped"]["reason"], "maintenance")
    world.stack.ask("resume", reason="done")
    equal(world.stack.ask("status")["status"]["stopped"], None)


# ── roles ────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def without(world: World, role: str, policy: str, statement: str):
    """Takes one statement out of a role's policy, and puts it back."""
    iam, name = world.stack.service("iam"), world.stack.resource(role)
    document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
    rest = [s for s in document["Statement"] if s["Sid"] != statement]
    assert len(rest) == len(document["Statement"]) - 1, f"no {statement} in {role}"

    def write(document: dict) -> None:
        text = json.dumps(document)
        iam.put_role_policy(RoleName=name, PolicyName=policy, PolicyDocument=text)

    write({**document, "Statement": rest})
    try:
        yield
    finally:
        write(document)


def needs_to_write(world: World) -> None:
    """without its right to write, the webhook answers 503; with it, 200"""
    event = started(world.denied, SENSOR)
    with without(world, "WebhookRole", "webhook", "WriteItems"):
        equal(world.stack.post(event), 503)
    equal(world.stack.post(event), 200)
    equal(list(world.stack.items(f"EV#{world.denied.sid}")), ["STATE"])


def needs_to_read(world: World) -> None:
    """without its right to read, the kill-switch fails; with it, it answers"""
    with without(world, "KillSwitchRole", "kill-switch", "ReadItems"):
        try:
            answer = world.stack.invoke("KillSwitchFunction", {"action": "status"})
            raise AssertionError(f"it answered {answer}")
        except InvocationFailed:
            pass
    world.stack.ask("status")


# ── links ──────────────────────────────────────────────────────────────────────────────────────────


def follows_links(world: World) -> str:
    """a link of an alert: GET shows it, a forged one is refused, POST restores the SIM once"""
    stack, sim = world.stack, world.streamed
    incident = json.loads(stack.items(f"KS#{sim.sid}")["INCIDENT#OPEN"]["incident"]["S"])
    console = stack.outputs["ConsoleUrl"].rstrip("/")
    link = f"{console}/link/{token(stack.link_key(), RESTORE, incident['id'], sim.name)}"
    forged = f"{console}/link/{token(b'k' * 64, RESTORE, incident['id'], sim.name)}"
    status, page = stack.browse("GET", link)
    assert status == 200 and sim.name in page, (status, page)
    equal(stack.browse("POST", forged)[0], 403)
    equal(world.provider.asked_for(sim.sid), ["inactive"])
    with without(world, "ConsoleRole", "console", "AskKillSwitch"):
        status, page = stack.browse("POST", link)
        assert status == 503 and "still works" in page, (status, page)
    status, page = stack.browse("POST", link)
    assert status == 200 and "Done: " in page, (status, page)
    equal(world.provider.asked_for(sim.sid), ["inactive", "active"])
    status, page = stack.browse("POST", link)
    assert status == 409 and "works once" in page, (status, page)
    status, page = stack.browse("GET", link)
    assert status == 409 and "was used at" in page, (status, page)
    equal(world.provider.asked_for(sim.sid), ["inactive", "active"])
    [used] = [i for i in stack.items(f"KS#{sim.sid}").values()
              if "the link in alert" in i.get("actor", {}).get("S", "")][:1]
    return f"({used['sk']['S']})"


def takes_hints(world: World) -> None:
    """the provider's callback is passed on to the kill-switch; a forged one is refused"""
    stack, sim = world.stack, world.streamed.sid
    console = stack.outputs["ConsoleUrl"].rstrip("/")
    equal(stack.browse("POST", f"{console}/hint/{hint(b'k' * 64, sim)}")[0], 403)
    equal(stack.browse("POST", f"{console}/hint/{hint(stack.link_key(), sim)}")[0], 204)
    equal(stack.invoke("KillSwitchFunction", {"hint": {"sim": sim}}), {"looked": True})


# ── schedules ────────────────────────────────────────────────────────────────────────────────────


def proves_on_schedule(world: World) -> str:
    """the sweep, on its schedule, proves the thief's SIM dead"""
    sim = world.posted
    equal(world.stack.post(rejected(sim, TABLET)), 200)

    def proven() -> list[str]:
        return [sk for sk in world.stack.items(f"KS#{sim.sid}") if sk.endswith("-proven")]

    return until("proven", SWEEP_WITHIN_SECS, proven)


def hurries_the_aggregator(world: World) -> None:
    """the aggregator's schedule is set to every minute, to see it fire"""
    scheduler, name = world.stack.service("scheduler"), world.stack.resource("AggregateSchedule")
    schedule = scheduler.get_schedule(Name=name)
    equal(schedule["ScheduleExpression"], "rate(10 minutes)")
    kept = {key: schedule[key] for key in ("Name", "FlexibleTimeWindow", "Target")}
    scheduler.update_schedule(**kept, ScheduleExpression="rate(1 minute)")


def aggregates_on_schedule(world: World) -> str:
    """the aggregator, on its schedule, lists the fleet"""
    return until("listed", SWEEP_WITHIN_SECS,
                 lambda: "INVENTORY" in world.stack.items(f"FLEET#{FLEET}"))


def aggregates_by_hand(world: World) -> str:
    """the aggregator, by the Lambda API, goes on until it is done"""
    def done() -> bool:
        return world.stack.invoke("UsageAggregatorFunction", {"run": True})["done"]

    return until("done", SWEEP_WITHIN_SECS, done)


# ── change and end ───────────────────────────────────────────────────────────────────────────────


def keeps_data_over_an_update(world: World) -> str:
    """sam deploy with another parameter keeps the data, and takes effect"""
    table, before = world.stack.outputs["TableName"], world.stack.items(f"KS#{world.posted.sid}")
    world.stack.deploy(EnforcementMode="observe")
    equal(world.stack.outputs["TableName"], table)
    after = world.stack.items(f"KS#{world.posted.sid}")
    assert before and before.items() <= after.items(), (before, after)
    equal(world.stack.ask("status")["status"]["armed"], "observe")
    return f"({len(before)} items of the thief's SIM)"


def only_observes(world: World) -> str:
    """a thief's event is then found and held, and nothing is asked of the provider"""
    sim = world.observed.sid
    equal(world.stack.post(started(world.observed, TABLET)), 200)
    took = until("held", STREAM_WITHIN_SECS,
                 lambda: "INCIDENT#OPEN" in world.stack.items(f"KS#{sim}"))
    [answer] = world.stack.ask("status", sim)["sims"]
    equal(answer["details"]["held_by"], "observe mode")
    equal(world.provider.asked_for(sim), [])
    return took


def tries_a_policy(world: World) -> None:
    """simfuse backtest --stack: by what is stored, the policy in force would have cut that thief off"""
    report = world.stack.operate("backtest")
    stored = report["input"]["stored"]
    equal((stored["sims"], stored["unread"]), (4, 0))
    [tried] = [sim for sim in report["sims"] if sim["sim"] == world.observed.sid]
    [act] = [act for act in tried["acts"] if act["act"] == "deactivate"]
    equal(act["detector"], "device_not_allowed")


def set_nothing_aside(world: World) -> None:
    """nothing of all this ended in the queue of failures"""
    queue = world.stack.outputs["FailuresQueueUrl"]
    answer = world.stack.service("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    equal(answer.get("Messages", []), [])


def deletes(world: World) -> str:
    """sam delete takes the stack down, and leaves the table"""
    table, function = world.stack.outputs["TableName"], world.stack.outputs["KillSwitchFunction"]
    world.stack.delete()
    stacks = world.stack.service("cloudformation").list_stacks(
        StackStatusFilter=["CREATE_COMPLETE", "UPDATE_COMPLETE"]
    )["StackSummaries"]
    assert NAME not in [stack["StackName"] for stack in stacks], stacks
    try:
        world.stack.service("lambda").get_function(FunctionName=function)
        raise AssertionError(f"{function} is still there")
    except ClientError as error:
        equal(error.response["Error"]["Code"], "ResourceNotFoundException")
    assert table in world.stack.service("dynamodb").list_tables()["TableNames"], "no table is left"


ALL = [
    deploys,
    hurries_the_aggregator,
    takes_a_policy,
    alerts_can_be_read,
    keeps_out_what_is_forged,
    leaves_sensors_alone,
    tells_news,
    kills_a_thief,
    texts_the_operator,
    kills_from_the_event_stream,
    answers_status,
    kills_and_restores_by_hand,
    kills_and_restores_by_the_tool,
    stops_and_resumes,
    needs_to_write,
    needs_to_read,
    follows_links,
    takes_hints,
    proves_on_schedule,
    aggregates_on_schedule,
    aggregates_by_hand,
    keeps_data_over_an_update,
    only_observes,
    tries_a_policy,
    set_nothing_aside,
    deletes,
]
