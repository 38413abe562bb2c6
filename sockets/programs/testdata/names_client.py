"""Connects without blocking, and compares both names with what the other end sees."""
import ast
import os
import select
import socket

family = socket.AF_INET6 if ":" in os.environ["HOST"] else socket.AF_INET


def names():
    """Returns both names of a new connection as this end sees them, and as the other does, and the connection."""
    s = socket.socket(family)
    s.setblocking(False)
    assert s.connect_ex((os.environ["HOST"], int(os.environ["PORT"]))) == 115  # EINPROGRESS
    poll = select.epoll()
    poll.register(s, select.EPOLLOUT)
    assert poll.poll(20), "the connection was not made"
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    s.setblocking(True)
    far = b""
    while part := s.recv(4096):
        far += part
    local, remote = ast.literal_eval(far.decode())
    return (s.getpeername(), s.getsockname()), (local, remote), s


# Over TCP a connection leaves from another port if something on the host has that one.
for again in [b"?", b"?", b"."] if os.environ["SAME"] == "mostly" else [b"."]:
    near, far, s = names()
    s.sendall(b"." if near == far else again)
    s.close()
    if near == far:
        break
for what, here, there in zip(("peer", "self"), near, far):
    print(what, "same" if here == there else (here, there))
