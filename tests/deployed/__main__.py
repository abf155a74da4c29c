r"""Deploys the real template to an emulator of AWS, and lets a theft happen on it.

    python tests/deployed --sam SAM --ministack MINISTACK --super-sim PROGRAM --simfuse SIMFUSE \
        --template BUILT --policy TOML

Each check prints a line with its time; the first that fails ends the run, after the functions' logs.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

import checks
from processes import emulator, super_sim
from stack import prepare


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("sam", "ministack", "super-sim", "simfuse", "template", "policy"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    # Whoever ends this run ends what it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    began = time.monotonic()
    world = checks.World(policy=options.policy)
    with (
        super_sim(options.super_sim, world.sims()) as world.provider,
        emulator(options.ministack) as aws,
    ):
        world.stack = prepare(
            options.sam, options.simfuse, options.template, aws, world.provider
        )
        for check in checks.ALL:
            check_began = time.monotonic()
            try:
                said = check(world)
            except BaseException as failure:
                say(check, check_began, f"FAILED: {type(failure).__name__}: {failure}")
                if isinstance(failure, Exception):
                    print(world.stack.logs(), file=sys.stderr)
                    print(aws.log.read_text()[-6000:], file=sys.stderr)
                    return 1
                raise
            say(check, check_began, said or "")
    print(f"deployed: {len(checks.ALL)} checks passed in {time.monotonic() - began:.0f} s")
    return 0


def say(check, began: float, said: str) -> None:
    took = time.monotonic() - began
    print(f"{took:6.1f} s  {check.__doc__.strip().splitlines()[0]} {said}".rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
