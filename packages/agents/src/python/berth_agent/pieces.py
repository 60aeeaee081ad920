"""An answer in pieces: what a handler yields, as bytes, one after the other, no faster than the worker takes them."""

import itertools
import threading

from . import protocol
from .errors import Cancelled, TooLarge
from .payload import BYTES_TYPE, TEXT_TYPE, Reply, json_of

LINES_TYPE = "application/x-ndjson"
EVENTS_TYPE = "text/event-stream"
# Chunks in flight, and the most bytes of one, as packages/contracts/src/stream-protocol.ts has them.
_CHUNKS, _CHUNK_BYTES = 8, 32 * 1024


def is_pieces(value):
    """Whether a handler's value is its answer in pieces: a generator, or any other iterator."""
    return hasattr(value, "__next__")


def reply_of(values, as_events):
    """Its type goes by the first value: text and bytes as they are, everything else a line of JSON, or each an event."""
    values = iter(values)
    if as_events:
        return Reply(b"", EVENTS_TYPE, pieces=_Pieces(values, map(_event_of, values)))
    for first in values:
        kind = TEXT_TYPE if isinstance(first, str) else BYTES_TYPE if _is_bytes(first) else LINES_TYPE
        return Reply(b"", kind, pieces=_Pieces(values, map(_piece_of, itertools.chain((first,), values))))
    return Reply(b"", LINES_TYPE)


class _Pieces:
    """Bytes of each value. Whoever stops in the middle closes it, so that a generator's `finally` runs."""

    def __init__(self, values, encoded):
        self._values = values
        self._encoded = encoded

    def __iter__(self):
        return self._encoded

    def close(self):
        close = getattr(self._values, "close", None)
        if close is not None:
            close()


def collected(reply, most_bytes):
    """All of it, where nobody takes pieces. Raises TooLarge."""
    whole = bytearray()
    try:
        for piece in reply.pieces:
            whole += piece
            if len(whole) > most_bytes:
                raise TooLarge(f"the response has more than {most_bytes} bytes, the limit where it isn't streamed")
    finally:
        reply.pieces.close()
    return Reply(bytes(whole), reply.content_type, reply.response)


class Stream:
    """One answer on its way. What the worker doesn't take yet is held, and goes together when it does."""

    def __init__(self, link, head, invocation):
        self._link = link
        self._head = head
        self._invocation = invocation
        self._changed = threading.Condition()
        self._credit = _CHUNKS
        self._held = bytearray()

    def send(self, reply):
        """Returns when all of it was sent. Raises what makes it raises, TooLarge and Cancelled."""
        head = {"id": self._head["id"], "attempt": self._head["attempt"]}
        if reply.content_type is not None:
            head["contentType"] = reply.content_type
        if reply.response is not None:
            head["response"] = reply.response
        most_bytes = self._head["stream"]["maxBytes"]
        size = 0
        try:
            self._check()
            self._link.send(protocol.STREAMED, head)
            for piece in reply.pieces:
                size += len(piece)
                if size > most_bytes:
                    raise TooLarge(f"the streamed response has more than {most_bytes} bytes, its limit")
                self._write(piece)
            self._drain(0)
        finally:
            reply.pieces.close()

    def credit(self, chunks):
        """In the link's thread: the worker has taken some."""
        with self._changed:
            self._credit += chunks
            self._send_held()
            self._changed.notify_all()

    def cancelled(self):
        """In the link's thread: `invocation.is_over` was set."""
        with self._changed:
            self._changed.notify_all()

    def _write(self, piece):
        self._check()
        with self._changed:
            self._held += piece
            self._send_held()
        self._drain(_CHUNK_BYTES)

    def _drain(self, most_bytes):
        with self._changed:
            while len(self._held) > most_bytes:
                self._check()
                self._changed.wait()
            self._check()

    def _send_held(self):
        while self._held and self._credit > 0:
            self._credit -= 1
            self._link.send(protocol.CHUNK, {"id": self._head["id"]}, bytes(self._held[:_CHUNK_BYTES]))
            del self._held[:_CHUNK_BYTES]

    def _check(self):
        if self._invocation.is_over:
            raise Cancelled("the invocation was cancelled")


def _is_bytes(value):
    return isinstance(value, (bytes, bytearray, memoryview))


def _piece_of(value):
    if _is_bytes(value):
        return bytes(value)
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else json_of(value) + b"\n"


def _event_of(value):
    if _is_bytes(value):
        return bytes(value)
    text = value if isinstance(value, str) else json_of(value).decode()
    return "".join(f"data: {line}\n" for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")).encode() + b"\n"
