"""What a handler asks of other functions: `context.invoke`, and `context.ainvoke` in a coroutine. As src/node/invokes.ts has it."""

import itertools
import json
import re
import threading
from collections import deque

from . import payload, protocol

_BYTES_TYPE = "application/octet-stream"
# Asked at the same time, and bytes of their payloads together; the others wait.
_AT_ONCE, _BYTES_AT_ONCE = 16, protocol.MOST_BODY_BYTES
# As a request's own deadline.
_LEAST_TIMEOUT_MS = 10
# The largest number of a question: a worker takes what JSON has exactly.
_MOST_TIMEOUT_MS = 2**53 - 1
# What a worker takes: a sandbox that asks otherwise is destroyed.
_CONTENT_TYPE = re.compile(r"[\x20-\x7e]{1,256}")
# The same, of a key.
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_OVER = {
    "code": "cancelled",
    "message": "the invocation that asks is answered already: wait for what it invokes before it answers",
    "retryable": False,
}


class InvocationError(Exception):
    """Another function couldn't be invoked, or failed. Its text begins with that one's name."""

    def __init__(self, function, failed, invocation_id):
        # Each function that it passed through says its own name, and what it is once.
        super().__init__(f"{function}: {failed['message'].removeprefix('InvocationError: ')}")
        # Of the error catalogue: handler_error, timed_out, function_not_found, …
        self.code = failed["code"]
        # Whether the same may succeed when it is asked again.
        self.retryable = failed["retryable"]
        # How it ended, if it was accepted.
        self.outcome = failed.get("outcome")
        self.invocation_id = invocation_id


class Invoked:
    """What another function answered; of one in the background the id alone."""

    __slots__ = ("headers", "id", "result", "status")

    def __init__(self, invocation_id, response, body):
        self.id = invocation_id
        # 200, or 204 for nothing; what the function says.
        self.status = response and response["status"]
        self.headers = response and _joined(response["headers"])
        # JSON parsed, text as a string, anything else as bytes.
        self.result = response and payload.payload_of(body, self.headers.get("content-type", _BYTES_TYPE))


class Questions:
    """Questions to the worker that aren't answered yet, by number."""

    def __init__(self, link):
        self._link = link
        self._numbers = itertools.count(1)
        self._open = {}
        link.on_reply = self._answered

    def ask(self, head, body, then):
        """@param then: called with the reply's head and body, in the link's thread. @return: the question's number"""
        number = next(self._numbers)
        self._open[number] = then
        self._link.send(protocol.QUESTION, {**head, "question": number}, body)
        return number

    def forget(self):
        """What was asked for is over: what isn't answered by now never is."""
        self._open.clear()

    def _answered(self, head, body):
        then = self._open.pop(head["question"], None)
        if then is not None:
            then(head, body)


class _Asked:
    """One that was asked for. `then` is called, in any thread, when it is answered."""

    def __init__(self, head, body, then):
        self.head = head
        self.body = body
        self.then = then
        self.number = None
        self._reply = None

    def answered(self, head, body):
        self._reply = (head, body)
        self.then()

    def answer(self):
        head, body = self._reply
        if "failed" in head:
            raise InvocationError(self.head["function"], head["failed"], head.get("id"))
        return Invoked(head["id"], head.get("response"), body)


class Invokes:
    """Of one invocation. As many at a time as its worker takes; the others wait."""

    def __init__(self, questions):
        self._questions = questions
        # By hand the answer comes at once, in the same thread.
        self._lock = threading.RLock()
        self._waiting = deque()
        self._sent = set()
        self._open = 0
        self._bytes = 0
        self._closed = False

    def invoke(self, *asked_for):
        answered = threading.Event()
        asked = self._begin(answered.set, *asked_for)
        answered.wait()
        return asked.answer()

    async def ainvoke(self, *asked_for):
        import asyncio

        loop = asyncio.get_running_loop()
        answered = loop.create_future()

        def settle():
            if not answered.done():
                answered.set_result(None)

        asked = self._begin(lambda: loop.call_soon_threadsafe(settle), *asked_for)
        try:
            await answered
        except asyncio.CancelledError:
            self._abandon(asked)
            raise
        return asked.answer()

    def close(self):
        """The invocation is about to be answered: nothing can be asked in its name from now on."""
        with self._lock:
            self._closed = True
            left = [*self._sent, *self._waiting]
            self._waiting.clear()
        self._questions.forget()
        # Threads that still wait.
        for asked in left:
            asked.answered({"failed": _OVER}, b"")

    def _begin(self, then, name, value, background, timeout_ms, content_type, idempotency_key):
        _check_content_type(content_type)
        body, content_type = _body_of(value, content_type)
        head = _head_of(name, background, timeout_ms, content_type, idempotency_key)
        if len(body) > protocol.MOST_BODY_BYTES:
            raise ValueError(f"the payload for {name} has {len(body)} bytes, the limit is {protocol.MOST_BODY_BYTES}")
        asked = _Asked(head, body, then)
        with self._lock:
            if self._closed:
                raise InvocationError(name, _OVER, None)
            self._waiting.append(asked)
            self._send_those_that_may()
        return asked

    def _send_those_that_may(self):
        """In the order in which they came, under the lock."""
        while self._waiting:
            asked = self._waiting[0]
            size = len(asked.body)
            if self._open >= _AT_ONCE or (self._open > 0 and self._bytes + size > _BYTES_AT_ONCE):
                return
            self._waiting.popleft()
            self._open += 1
            self._bytes += size
            self._sent.add(asked)
            asked.number = self._questions.ask(asked.head, asked.body, lambda head, body, asked=asked: self._answered(asked, head, body))

    def _answered(self, asked, head, body):
        """In the link's thread."""
        with self._lock:
            self._open -= 1
            self._bytes -= len(asked.body)
            self._sent.discard(asked)
            if not self._closed:
                self._send_those_that_may()
        asked.answered(head, body)

    def _abandon(self, asked):
        with self._lock:
            if asked.number is not None and not self._closed:
                self._questions.ask({"kind": "abandon", "of": asked.number}, b"", lambda *_: None)
            elif asked in self._waiting:
                self._waiting.remove(asked)


def _head_of(name, background, timeout_ms, content_type, idempotency_key):
    if not isinstance(name, str) or not name:
        raise TypeError("the first argument of invoke is a function's name")
    if not isinstance(background, bool):
        raise TypeError(f"background is {_told(background)}; True or False is wanted")
    head = {"kind": "invoke", "function": name}
    if background:
        head["async"] = True
    if timeout_ms is not None:
        if not isinstance(timeout_ms, int) or timeout_ms < _LEAST_TIMEOUT_MS:
            raise ValueError(f"timeout_ms is {_told(timeout_ms)}; a whole number of milliseconds, at least {_LEAST_TIMEOUT_MS}, is wanted")
        head["timeoutMs"] = min(timeout_ms, _MOST_TIMEOUT_MS)
    if content_type is not None:
        head["contentType"] = content_type
    if idempotency_key is not None:
        head["idempotencyKey"] = _checked_key(idempotency_key)
    return head


def _checked_key(key):
    if not isinstance(key, str):
        raise TypeError(f"idempotency_key is {_told(key)}; a string is wanted")
    if not _KEY.fullmatch(key):
        raise ValueError(f"idempotency_key is {_told(key)}; 1 to 255 printable characters of ASCII without spaces are wanted")
    return key


def _check_content_type(content_type):
    if content_type is None:
        return
    if not isinstance(content_type, str):
        raise TypeError(f"content_type is {_told(content_type)}; a string is wanted")
    if not _CONTENT_TYPE.fullmatch(content_type):
        raise ValueError(f"content_type is {_told(content_type)}; 1 to 256 printable characters of ASCII are wanted")


def _told(value):
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _body_of(value, content_type):
    if value is None:
        return b"", content_type
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value), content_type or _BYTES_TYPE
    if content_type is not None and isinstance(value, str):
        return value.encode(), content_type
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(), content_type or payload.JSON_TYPE


def _joined(pairs):
    headers = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
