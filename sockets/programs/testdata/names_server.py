"""Writes to each who connects both names of the connection, as this end sees them, until one asks for no more."""
import os
import socket

family = socket.AF_INET6 if ":" in os.environ["HOST"] else socket.AF_INET
with socket.socket(family) as ln:
    ln.bind((os.environ["HOST"], int(os.environ["PORT"])))
    ln.listen()
    print("listening", flush=True)
    while True:
        conn, peer = ln.accept()
        with conn:
            assert conn.getpeername() == peer
            conn.sendall(repr([conn.getsockname(), peer]).encode())
            conn.shutdown(socket.SHUT_WR)
            if conn.recv(1) != b"?":
                break
