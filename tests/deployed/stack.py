"""The stack itself: deployed, changed, looked into and deleted by the real `sam`."""

import json
import secrets
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from events import body_of, signed
from processes import REGION, ROOT, Emulator, SuperSim, clean_environment

NAME = "simfuse"
BUCKET = "artifacts"
PHONE = "+15555550100"
RUN_WITHIN_SECS = 180

# Far more than any call takes here: a test must not hang.
PATIENCE = Config(connect_timeout=5, read_timeout=60, retries={"max_attempts": 1})


@dataclass
class Stack:
    """One deployed stack, and the emulator's services as its root sees them."""

    sam: Path
    simfuse: Path
    template: Path
    emulator: Emulator
    parameters: dict
    auth_token: str
    outputs: dict = field(default_factory=dict)
    mailbox: str = ""

    def service(self, name: str):
        return boto3.client(
            name,
            endpoint_url=self.emulator.endpoint,
            region_name=REGION,
            aws_access_key_id=ROOT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ROOT["AWS_SECRET_ACCESS_KEY"],
            config=PATIENCE,
        )

    def run(self, program: Path, *arguments: str) -> str:
        """Runs a program as an operator does; what it said on standard output."""
        environment = {
            **clean_environment(),
            **ROOT,
            "AWS_ENDPOINT_URL": self.emulator.endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "SAM_CLI_TELEMETRY": "0",
        }
        done = subprocess.run(
            [program, *arguments], env=environment, timeout=RUN_WITHIN_SECS, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            said = f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            raise AssertionError(f"{program.name} {arguments[0]} failed:\n{said}")
        return done.stdout

    def operate(self, *arguments: str) -> dict:
        """The answer of `simfuse` about this stack."""
        return json.loads(self.run(self.simfuse, *arguments, "--stack", NAME, "--json"))

    def deploy(self, **changes: str) -> None:
        """Deploys, or updates with these parameters changed."""
        self.parameters |= changes
        overrides = [f"{name}={value}" for name, value in self.parameters.items()]
        self.run(
            self.sam,
            "deploy", "--template-file", str(self.template), "--stack-name", NAME,
            "--s3-bucket", BUCKET, "--capabilities", "CAPABILITY_IAM",
            "--no-confirm-changeset", "--no-progressbar", "--no-fail-on-empty-changeset",
            "--parameter-overrides", *overrides,
        )
        stack = self.service("cloudformation").describe_stacks(StackName=NAME)["Stacks"][0]
        if not stack["StackStatus"].endswith("_COMPLETE") or "ROLLBACK" in stack["StackStatus"]:
            raise AssertionError(f"the stack is {stack['StackStatus']}")
        self.outputs = {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}

    def delete(self) -> None:
        self.run(self.sam, "delete", "--stack-name", NAME, "--s3-bucket", BUCKET, "--no-prompts",
                 "--region", REGION)

    def post(self, *events: dict, signature: str | None = None) -> int:
        """Posts events to the webhook's URL as the provider does; the status of the answer."""
        url, body = self.outputs["WebhookUrl"], body_of(*events)
        query, rightly = signed(url, body, self.auth_token)
        request = urllib.request.Request(
            f"{self.emulator.endpoint}/?{query}",
            data=body,
            headers={
                "Host": urlsplit(url).netloc,
                "Content-Type": "application/json",
                "X-Twilio-Signature": signature or rightly,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as refusal:
            return refusal.code

    def browse(self, method: str, link: str) -> tuple[int, str]:
        """Follows a link of an alert as a browser does: status and page."""
        url = urlsplit(link)
        request = urllib.request.Request(
            f"{self.emulator.endpoint}{url.path}",
            data=b"" if method == "POST" else None,
            headers={"Host": url.netloc},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def link_key(self) -> bytes:
        """The key that the stack made for itself."""
        secret = self.service("secretsmanager").get_secret_value(SecretId=self.resource("LinkSecret"))
        return json.loads(secret["SecretString"])["key"].encode()

    def invoke(self, function: str, payload: dict) -> dict:
        """Invokes the function of this output and waits for its answer."""
        answer = self.service("lambda").invoke(
            FunctionName=self.outputs[function], Payload=json.dumps(payload).encode()
        )
        text = answer["Payload"].read().decode()
        if "FunctionError" in answer:
            raise InvocationFailed(text)
        return json.loads(text)

    def ask(self, action: str, *sims: str, **more) -> dict:
        """A manual request to the kill-switch."""
        request = {"action": action, "sims": list(sims), "requested_by": "tests", **more}
        answer = self.invoke("KillSwitchFunction", request)
        assert answer.get("error") is None, answer
        return answer

    def items(self, partition: str) -> dict:
        """The items of one partition, by their sort key."""
        answer = self.service("dynamodb").query(
            TableName=self.outputs["TableName"],
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": partition}},
        )
        return {item["sk"]["S"]: item for item in answer["Items"]}

    def resource(self, logical: str) -> str:
        """The physical name of a resource of the template."""
        answer = self.service("cloudformation").describe_stack_resource(
            StackName=NAME, LogicalResourceId=logical
        )
        return answer["StackResourceDetail"]["PhysicalResourceId"]

    def listen_to(self, phone: str) -> None:
        """Lets a queue hear what this subscriber of the topic hears: the emulator keeps no SMS."""
        sns, topic = self.service("sns"), self.outputs["TopicArn"]
        subscriptions = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        [subscription] = [s["SubscriptionArn"] for s in subscriptions if s["Endpoint"] == phone]
        heard = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
        sqs = self.service("sqs")
        queue = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        arn = arn["Attributes"]["QueueArn"]
        allow = {
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage", "Resource": arn,
        }
        policy = {"Version": "2012-10-17", "Statement": [allow]}
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
        sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn,
            Attributes={"FilterPolicy": heard["FilterPolicy"]},
        )
        self.mailbox = queue

    def alerts(self) -> list[str]:
        """The texts of the alerts since the last time, by the queue's own protocol."""
        sqs = self.service("sqs")
        answer = sqs.receive_message(QueueUrl=self.mailbox, MaxNumberOfMessages=10)
        messages = answer.get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=self.mailbox, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"])["Message"] for message in messages]

    def logs(self, lines: int = 60) -> str:
        """The last lines of each function's log."""
        text = []
        for function in ("webhook", "kill-switch", "usage-aggregator", "console"):
            group = f"/aws/lambda/{NAME}-{function}"
            try:
                events = self.service("logs").filter_log_events(logGroupName=group)["events"]
                said = [event["message"].rstrip() for event in events[-lines:]]
            except Exception as fault:  # The logs are shown on the way out of another failure.
                said = [f"no log: {fault}"]
            text += [f"── {group}", *said]
        return "\n".join(text)


class InvocationFailed(AssertionError):
    """A function ended with an error."""


def prepare(
    sam: Path, simfuse: Path, template: Path, emulator: Emulator, provider: SuperSim
) -> Stack:
    """What an operator makes beforehand: two secrets, a bucket, and here an event stream."""
    auth_token = secrets.token_hex(16)
    stack = Stack(sam, simfuse, template, emulator, {}, auth_token)
    manager = stack.service("secretsmanager")
    api = {"account_sid": provider.account_sid, "auth_token": provider.auth_token}
    api = manager.create_secret(Name="simfuse/api", SecretString=json.dumps(api))
    webhook = {"auth_token": auth_token}
    webhook = manager.create_secret(Name="simfuse/webhook", SecretString=json.dumps(webhook))
    stack.service("s3").create_bucket(Bucket=BUCKET)
    kinesis = stack.service("kinesis")
    kinesis.create_stream(StreamName="supersim-events", ShardCount=1)
    stream = kinesis.describe_stream_summary(StreamName="supersim-events")
    stack.parameters = {
        "Provider": "twilio",
        "Architecture": "x86_64",
        "ApiSecretArn": api["ARN"],
        "WebhookSecretArn": webhook["ARN"],
        "AlertEmail": "ops@example.com",
        "AlertPhone": PHONE,
        "EnforcementMode": "enforce",
        "EventStreamArn": stream["StreamDescriptionSummary"]["StreamARN"],
        "SupersimApiBase": provider.origin,
        "LogRetentionDays": "7",
    }
    return stack
