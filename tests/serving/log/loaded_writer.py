"""A process that logs as fast as it can and says each id once it is acknowledged, until it is killed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from mlproj.serving import ids
from mlproj.serving.log import Writer
from tests.serving.log.world import record


async def main() -> None:
    writer = Writer(Path(sys.argv[1]), asyncio.get_running_loop())
    generator = ids.Generator(1)

    def submit() -> None:
        number = generator.new()

        def done(error: Exception | None) -> None:
            assert error is None
            os.write(1, b"%d\n" % number)
            submit()

        writer.submit([record(number)], done)

    for _ in range(16):
        submit()
    await asyncio.Event().wait()


asyncio.run(main())
