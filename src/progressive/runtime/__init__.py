"""Drive rollouts: loops with clocks, threads and asyncio around the pure protocol of a tick."""
