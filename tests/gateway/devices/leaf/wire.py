"""A CAN bus that only exists in a test."""

from gateway.faults import Misuse


class Wire:
    """A bus with a car at the other end; what we send is kept with its time."""

    def __init__(self, listen_only):
        self.up, self.problem = True, ""
        self.listen_only = listen_only
        self.sent = []
        self.now = 1000.0

    def send(self, can_id, data):
        if self.listen_only:
            raise Misuse("only listens")
        self.sent.append((self.now, can_id, data))
