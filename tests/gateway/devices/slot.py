"""A sink that keeps everything, and waits for what a test expects."""

import asyncio


class Slot:
    def __init__(self):
        self.samples, self.infos, self.faults, self.raised = [], [], {}, []
        self.changed = asyncio.Event()

    def sample(self, sample):
        self.samples.append(sample)
        self.changed.set()

    def identity(self, info):
        self.infos.append(info)

    def fault(self, code, detail):
        if code not in self.faults:
            self.raised.append(code)
        self.faults[code] = detail
        self.changed.set()

    def clear(self, code):
        self.faults.pop(code, None)
        self.changed.set()

    async def until(self, true):
        async with asyncio.timeout(10):
            while not true():
                self.changed.clear()
                await self.changed.wait()
