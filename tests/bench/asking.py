"""Ask the API for the whole state without end: ``python -m tests.bench.asking ADDRESS PER_SECOND``, the token on standard input.

A process of its own, so that reading the answers does not delay the taps on the wires.
"""

import asyncio
import sys

import aiohttp


async def ask_on(address: str, token: str, per_second: float) -> None:
    """Ask until the gateway is gone. The certificate is not looked at: this is load, not a client."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        while True:
            async with session.get(f"{address}/v1/state", ssl=False) as answer:
                answer.raise_for_status()
                await answer.json()
            await asyncio.sleep(1 / per_second)


if __name__ == "__main__":
    asyncio.run(ask_on(sys.argv[1], sys.stdin.readline().strip(), float(sys.argv[2])))
