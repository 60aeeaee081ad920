"""The one connection to the worker. Without it the sandbox has no purpose, so its end is ours."""

import json
import os
import select
import socket
import threading
import time
import traceback
from queue import SimpleQueue

from . import protocol


class Link:
    """
    Frames are read in a thread of their own, so that a cancellation reaches a handler that runs: handlers
    run in the main thread, as programs expect it of signals and event loops. `on_cancel` is called in that
    thread with an invocation's id, and whether nobody waits for it any more (else its deadline is near).
    """

    def __init__(self, path, on_cancel):
        self._on_cancel = on_cancel
        # What came for the invocation that was read last: whoever begins it looks here.
        self.cancelled = None
        self._frames = SimpleQueue()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)
        # Now, before hello: whoever counts tasks from then on counts this one.
        threading.Thread(target=self._read, name="berth-link", daemon=True).start()

    def next(self):
        """The next frame that isn't a cancellation: type, head, body."""
        return self._frames.get()

    def send(self, kind, head, body=b""):
        self._socket.sendall(protocol.encode(kind, head, body))

    def _read(self):
        code = 1
        try:
            while True:
                kind, head, body = self._frame()
                if kind == protocol.CANCEL:
                    self._cancel(head, True)
                    continue
                if kind == protocol.INVOKE:
                    self.cancelled = None
                self._frames.put((kind, head, body))
                if kind == protocol.INVOKE:
                    self._warn_of_deadline(head)
        except EOFError:
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _warn_of_deadline(self, head):
        """Waits for a frame or for the time that a handler has to wind up in, whichever comes first."""
        ends_at = time.monotonic() + head["timeoutMs"] / 1000
        early = min(0.5, head["timeoutMs"] / 10_000)
        if not self._readable.poll(max(0, (ends_at - early - time.monotonic()) * 1000)):
            self._cancel(head, False)

    def _cancel(self, head, ends_task):
        self.cancelled = (head["id"], ends_task)
        self._on_cancel(*self.cancelled)

    def _frame(self):
        kind, head_bytes, body_bytes = protocol.lengths(self._exactly(protocol.PREFIX_BYTES))
        head = json.loads(self._exactly(head_bytes))
        return kind, head, self._exactly(body_bytes)

    def _exactly(self, size):
        if size == 0:
            return b""
        data = self._socket.recv(size)
        if len(data) == size:
            return data
        whole = bytearray(data)
        while data and len(whole) < size:
            data = self._socket.recv(size - len(whole))
            whole += data
        if len(whole) < size:
            raise EOFError
        return bytes(whole)
