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
        # Called in the thread with head and body of each reply to a question.
        self.on_reply = lambda head, body: None
        # The answer that is streamed, while one is.
        self.stream = None
        self._sending = threading.Lock()
        # The invocation whose deadline isn't near yet, and when it is.
        self._warning = None
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
        with self._sending:
            self._socket.sendall(protocol.encode(kind, head, body))

    def _read(self):
        code = 1
        try:
            while True:
                self._await_frame()
                kind, head, body = self._frame()
                if kind == protocol.CANCEL:
                    self._warning = None
                    self._cancel(head, True)
                    continue
                if kind == protocol.REPLY:
                    self.on_reply(head, body)
                    continue
                if kind == protocol.CREDIT:
                    stream = self.stream
                    if stream is not None:
                        stream.credit(head["chunks"])
                    continue
                if kind == protocol.INVOKE:
                    self.cancelled = None
                    self._warning = head, time.monotonic() + head["timeoutMs"] / 1000 - min(0.5, head["timeoutMs"] / 10_000)
                self._frames.put((kind, head, body))
        except EOFError:
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)

    def _await_frame(self):
        """Waits for one, and for the time that a handler has to wind up in, when that comes first."""
        if self._warning is not None:
            head, warn_at = self._warning
            if self._readable.poll(max(0, (warn_at - time.monotonic()) * 1000)):
                return
            self._warning = None
            self._cancel(head, False)

    def _cancel(self, head, ends_task):
        self.cancelled = (head["id"], ends_task)
        self._on_cancel(*self.cancelled)
        stream = self.stream
        if stream is not None:
            stream.cancelled()

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
