"""The edge: drivers with clocks, threads and asyncio, around the pure dialogue of a tick."""
