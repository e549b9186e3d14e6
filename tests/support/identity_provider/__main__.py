"""A provider for trying things out by hand, with two people."""

import argparse
import asyncio

from tests.support.identity_provider.server import Person, open_identity_provider


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.identity_provider", description=__doc__)
    parser.add_argument("--port", type=int, default=9080)
    async with open_identity_provider(port=parser.parse_args().port) as provider:
        provider.people += [
            Person("anna-1", "anna@example.org", name="Anna"),
            Person("ben-2", "ben@example.org", email_verified=False, name="Ben, whose address is not verified"),
        ]
        print(provider.toml("local", name="the local provider"), flush=True)
        await provider.over.wait()


asyncio.run(main())
