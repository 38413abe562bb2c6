"""Echoes lines, for any number of clients, in one thread."""
import asyncio
import os


async def echo(reader, writer):
    try:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(echo, os.environ["HOST"], int(os.environ["PORT"]), backlog=600)
    print("listening", flush=True)
    async with server:
        await server.serve_forever()


asyncio.run(main())
