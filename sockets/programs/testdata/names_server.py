"""Accepts one connection and writes both of its names, as this end sees them."""
import os
import socket

family = socket.AF_INET6 if ":" in os.environ["HOST"] else socket.AF_INET
with socket.socket(family) as ln:
    ln.bind((os.environ["HOST"], int(os.environ["PORT"])))
    ln.listen()
    print("listening", flush=True)
    conn, peer = ln.accept()
    with conn:
        assert conn.getpeername() == peer
        conn.sendall(repr([conn.getsockname(), peer]).encode())
