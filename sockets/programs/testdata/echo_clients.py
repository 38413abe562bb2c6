"""500 clients at once: each is open until all are, then sends three lines and reads them back."""
import asyncio
import os

CLIENTS = 500
LINE = b"x" * 1000 + b"\n"


async def client(number, ready, all_ready):
    reader, writer = await asyncio.open_connection(os.environ["HOST"], int(os.environ["PORT"]))
    ready.add(number)
    if len(ready) == CLIENTS:
        all_ready.set()
    await all_ready.wait()
    for _ in range(3):
        writer.write(str(number).encode() + LINE)
        got = await reader.readline()
        assert got == str(number).encode() + LINE, (number, got[:40])
    writer.close()
    await writer.wait_closed()


async def main():
    all_ready = asyncio.Event()
    ready = set()
    await asyncio.gather(*(client(i, ready, all_ready) for i in range(CLIENTS)))
    print("clients:", len(ready))


asyncio.run(main())
