"""A TCP relay between the node and the mail server that counts, cuts and can make both sides wait.

Two ways to run.  Streaming: octets pass as they come, are counted, and a cut can be ordered.  By
turns: what one side says is held back until it has nothing more to say, and only then given to the
other; so the number of turns is the number of round trips, however fast the line or the machine is.
A client that pipelines gets all its commands into one turn; a client that waits for an answer needs
another turn.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tests.system.endpoint import HOST

CHUNK_LENGTH = 64 * 1024
HELD_BACK_LENGTH_MAX = 64 * 1024 * 1024  # Octets of one turn; more would be a runaway.
SILENCE_S = 0.15
"""How long a side must say nothing until its turn is over.  It only has to be longer than the pauses
of a busy process between two writes; too short counts too many round trips, never too few."""

QUIET_S = 1.5  # Ten turns in which nobody said anything: whatever was under way is done.
RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, for no time at all.


@dataclass(slots=True)
class Counts:
    """What passed, over all connections since the last `reset_counts`."""

    connections: int = 0
    to_server: int = 0
    to_client: int = 0
    round_trips: int = 0
    """Turns of the client side (only counted by turns)."""


class Relay:
    """Listens on `port`, connects every client to the server's port.

    Threads, not tasks: the tests that use it are synchronous, and what is under test runs in a
    process of its own.
    """

    def __init__(self, server_port: int, *, by_turns: bool = False) -> None:
        self._server_port = server_port
        self.by_turns = by_turns
        """Holds for connections that are made from now on."""
        self._lock = threading.Lock()
        self._counts = Counts()
        self._cut_after: int | None = None
        self._cut_from_server = True
        self._closing = threading.Event()
        self._connections: set[_Connection] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def counts(self) -> Counts:
        """What passed until now."""
        with self._lock:
            return replace(self._counts)

    def reset_counts(self) -> None:
        """Begin to count from nothing."""
        with self._lock:
            self._counts = Counts()

    def cut_after(self, octets: int, *, from_server: bool = True) -> None:
        """Reset the connection once, when so many more octets have come from one side."""
        with self._lock:
            self._cut_after = octets
            self._cut_from_server = from_server

    @property
    def cut_is_pending(self) -> bool:
        """Whether an ordered cut has not happened yet."""
        with self._lock:
            return self._cut_after is not None

    def cut_now(self) -> None:
        """Reset every connection that is open."""
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.cut()

    def wait_until_quiet(self) -> Counts:
        """Return the counts when nothing has passed for a while."""
        before = None
        while (now := self.counts) != before:
            before = now
            self._closing.wait(QUIET_S)
        return now

    def close(self) -> None:
        """Stop listening and reset what is open."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_now()
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[..., None], *args: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._carry, client)

    def _carry(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection((HOST, self._server_port), 10)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        connection = _Connection(client, server)
        with self._lock:
            self._counts.connections += 1
            self._connections.add(connection)
        try:
            if self.by_turns:
                self._take_turns(connection)
            else:
                upwards = self._start(self._stream, connection, client, server)
                self._stream(connection, server, client)
                upwards.join()
        finally:
            with self._lock:
                self._connections.discard(connection)
            connection.close()

    def _stream(
        self, connection: _Connection, source: socket.socket, target: socket.socket
    ) -> None:
        from_server = source is connection.server
        try:
            while data := source.recv(CHUNK_LENGTH):
                allowed = self._allowed(len(data), from_server=from_server)
                self._count(allowed, from_server=from_server)
                target.sendall(data[:allowed])
                if allowed < len(data):
                    connection.cut()
                    return
            if not connection.was_cut:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            connection.cut()

    def _allowed(self, length: int, *, from_server: bool) -> int:
        """Return how many of `length` octets may pass before the ordered cut."""
        with self._lock:
            if self._cut_after is None or self._cut_from_server is not from_server:
                return length
            if length <= self._cut_after:
                self._cut_after -= length
                return length
            allowed, self._cut_after = self._cut_after, None
            return allowed

    def _take_turns(self, connection: _Connection) -> None:
        """Give each side the word until it is silent, and then what it said to the other side."""
        speaker = connection.client
        try:
            while not connection.was_cut:
                speaker = connection.next_speaker(speaker)
                said, ended = _speech(speaker)
                listener = connection.other(speaker)
                if said:
                    self._count(len(said), from_server=speaker is connection.server)
                    if speaker is connection.client:
                        self._count_round_trip()
                    listener.sendall(said)
                if ended:
                    listener.shutdown(socket.SHUT_WR)
                    while rest := listener.recv(CHUNK_LENGTH):
                        speaker.sendall(rest)
                    return
        except OSError:
            connection.cut()

    def _count(self, octets: int, *, from_server: bool) -> None:
        with self._lock:
            if from_server:
                self._counts.to_client += octets
            else:
                self._counts.to_server += octets

    def _count_round_trip(self) -> None:
        with self._lock:
            self._counts.round_trips += 1


class _Connection:
    """The two sockets of one client."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.was_cut = False
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def other(self, end: socket.socket) -> socket.socket:
        return self.server if end is self.client else self.client

    def next_speaker(self, last: socket.socket) -> socket.socket:
        """Wait until somebody speaks; who did not speak last goes first when both do."""
        with selectors.DefaultSelector() as ready:
            ready.register(self.client, selectors.EVENT_READ)
            ready.register(self.server, selectors.EVENT_READ)
            speaking = {key.fileobj for key, _ in ready.select()}
        return self.other(last) if self.other(last) in speaking else last

    def cut(self) -> None:
        """Make the threads that carry this connection end, and its end a reset."""
        self.was_cut = True
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
                end.shutdown(socket.SHUT_RD)  # Wakes the thread that reads; sends nothing.

    def close(self) -> None:
        self.client.close()
        self.server.close()


def _speech(speaker: socket.socket) -> tuple[bytes, bool]:
    """Return what `speaker` says until it is silent, and whether it has ended its side."""
    said = bytearray()
    try:
        while len(said) < HELD_BACK_LENGTH_MAX:
            data = speaker.recv(CHUNK_LENGTH)
            if not data:
                return bytes(said), True
            said += data
            speaker.settimeout(SILENCE_S)
    except TimeoutError:
        pass
    finally:
        speaker.settimeout(None)
    return bytes(said), False


def _reset(end: socket.socket) -> None:
    """Close with a TCP reset: the other side sees an error, not an end."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    end.close()


@contextmanager
def relay_to(server_port: int, *, by_turns: bool = False) -> Iterator[Relay]:
    """Run a relay for as long as the block lasts."""
    relay = Relay(server_port, by_turns=by_turns)
    try:
        yield relay
    finally:
        relay.close()
