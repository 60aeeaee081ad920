"""
A function's image by itself, with nothing of Berth around it: HTTP on a port, one request after the other, as a
sandbox takes them. For trying an image by hand: there are no limits and no records. As src/node/serve.ts has it.
"""

import itertools
import json
import os
import queue
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from . import protocol

_PORT = 8080
_MOST_PORT = 65_535
# Nobody waits for it but the client: the most that a function may have.
_TIMEOUT_MS = 15 * 60_000
_MOST_HEADER_BYTES = 64 * 1024
_ENDINGS = (signal.SIGTERM, signal.SIGINT)
_FAILED_STATUS = {"handler": 500, "too_large": 502}


def by_hand(entry):
    """What makes the agent's link, behind which the server stands. The function has the main thread."""
    port = _port_of(os.environ.get("PORT", str(_PORT)))
    link = _Link()
    loading = {"entry": entry, "env": {}, "project": "default", "function": "function", "version": 1, "scratch": "keep"}
    _end_when_told()
    threading.Thread(target=_serve, args=(link, loading, port), daemon=True).start()
    return link.told_by


def _end_when_told():
    """Whatever the main thread is in: a signal that comes as it begins to wait has its handler run when it has waited."""
    for ending in _ENDINGS:
        signal.signal(ending, lambda *_: os._exit(0))
    told, teller = os.pipe()
    os.set_blocking(teller, False)
    signal.set_wakeup_fd(teller, warn_on_full_buffer=False)
    threading.Thread(target=_await_ending, args=(told,), daemon=True).start()


def _await_ending(told):
    while os.read(told, 1)[0] not in _ENDINGS:
        pass
    os._exit(0)


def _port_of(text):
    """Where it listens. Ends the process when that is no port."""
    if text.isascii() and text.isdigit() and int(text) <= _MOST_PORT:
        return int(text)
    _say(sys.stderr, f"PORT is {json.dumps(text)}; a number from 0 to {_MOST_PORT} is wanted")
    os._exit(1)


def _serve(link, loading, port):
    kind, head, _ = link.ask(protocol.SPECIALISE, loading)
    if kind == protocol.FAILED:
        _complain(head["error"])
        os._exit(1)
    server = HTTPServer(("", port), _Request)
    server.link = link
    server.ids = (f"inv_{number}" for number in itertools.count(1))
    _say(sys.stdout, f"listening on {server.server_address}")
    server.serve_forever()


# There is nobody to invoke.
_ALONE = {
    "code": "unavailable",
    "message": "this image runs by itself, without Berth: it can't invoke another function",
    "retryable": False,
}


class _Link:
    """Takes the worker's place: what the agent says is waited for."""

    cancelled = None
    stream = None

    def __init__(self):
        self._on_cancel = None
        self._asked = queue.SimpleQueue()
        self._said = queue.SimpleQueue()

    def ask(self, kind, head, body=b""):
        self._asked.put((kind, head, body))
        return self.said()

    def said(self):
        return self._said.get()

    def told_by(self, on_cancel):
        self._on_cancel = on_cancel
        return self

    def taken(self):
        """One more chunk of what is streamed."""
        stream = self.stream
        if stream is not None:
            stream.credit(1)

    def cancel(self, invocation_id):
        self._on_cancel(invocation_id, True)
        stream = self.stream
        if stream is not None:
            stream.cancelled()

    def next(self):
        return self._asked.get()

    def send(self, kind, head, body=b""):
        if kind == protocol.QUESTION:
            return self.on_reply({"question": head["question"], "failed": _ALONE}, b"")
        # There is nobody to greet.
        if kind != protocol.HELLO:
            self._said.put((kind, head, body))


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def _answer(self):
        # One connection after the other: none is kept from the next client.
        self.close_connection = True
        if self.headers.get("transfer-encoding") is not None:
            return self._plain(411, "a body comes with its Content-Length\n")
        length = self.headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            return self._plain(400, f"Content-Length is no number: {length}\n")
        if int(length) > protocol.MOST_BODY_BYTES:
            return self._plain(413, f"a body has at most {protocol.MOST_BODY_BYTES} bytes\n")
        headers = [[name.lower(), value] for name, value in self.headers.items()]
        head = {
            "id": next(self.server.ids),
            "attempt": 1,
            "timeoutMs": _TIMEOUT_MS,
            "trigger": {"kind": "http", "request": {"method": self.command, "url": self.path, "headers": headers}},
            "maxBodyBytes": protocol.MOST_BODY_BYTES,
            "maxHeaderBytes": _MOST_HEADER_BYTES,
            "stream": {"maxBytes": sys.maxsize},
        }
        kind, head, body = self.server.link.ask(protocol.INVOKE, head, self.rfile.read(int(length)))
        if kind == protocol.STREAMED:
            return self._stream(head)
        if kind == protocol.FAILED:
            error = head["error"]
            _complain(error)
            return self._plain(_FAILED_STATUS.get(head["phase"], 500), f"{error['name']}: {error['message']}\n")
        response = head.get("response", {"status": 200, "headers": []})
        types = [["content-type", head["contentType"]]] if "contentType" in head else []
        self._send(response["status"], types if "response" not in head else response["headers"], body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def _plain(self, status, text):
        self._send(status, [["content-type", "text/plain"]], text.encode())

    def _stream(self, head):
        """As it comes; what fails in the middle has no end, and who goes away ends it."""
        link, is_chunked = self.server.link, self.request_version != "HTTP/1.0"
        response = head.get("response", {"status": 200, "headers": [["content-type", head.get("contentType", "text/plain")]]})
        self._begin(response["status"], response["headers"], [["transfer-encoding", "chunked"]] if is_chunked else [])
        is_gone = False
        while True:
            kind, said, body = link.said()
            if kind != protocol.CHUNK:
                break
            try:
                if not is_gone:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(body), body) if is_chunked else body)
            except OSError:
                is_gone = True
                link.cancel(head["id"])
            link.taken()
        if kind == protocol.FAILED:
            _complain(said["error"])
        elif is_chunked and not is_gone:
            self.wfile.write(b"0\r\n\r\n")

    def _begin(self, status, headers, of_the_connection):
        self.send_response_only(status)
        for name, value in [*headers, *of_the_connection, ["connection", "close"]]:
            self.send_header(name, value)
        self.end_headers()

    def _send(self, status, headers, body):
        self._begin(status, headers, [["content-length", str(len(body))]])
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        """What the function prints is all there is to read."""


def _complain(error):
    _say(sys.stderr, error.get("stack") or f"{error['name']}: {error['message']}")


def _say(stream, text):
    stream.write(f"{text.rstrip()}\n")
    stream.flush()
