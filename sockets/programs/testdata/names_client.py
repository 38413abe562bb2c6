"""Connects without blocking, and compares both names with what the other end sees."""
import ast
import os
import select
import socket

family = socket.AF_INET6 if ":" in os.environ["HOST"] else socket.AF_INET
with socket.socket(family) as s:
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
    print("peer", "same" if s.getpeername() == local else (s.getpeername(), local))
    print("self", "same" if s.getsockname() == remote else (s.getsockname(), remote))
