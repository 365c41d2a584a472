"""The store for asyncio: what waits together is made together, and each commit is whole by itself."""
