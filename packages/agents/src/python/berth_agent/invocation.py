"""One invocation in the agent's hands, and what its handler learns of it."""

import json
import sys
import threading
import time


class Function:
    """The function that runs, and which version of it."""

    def __init__(self, head):
        self.project = head["project"]
        self.name = head["function"]
        self.version = head["version"]


class Schedule:
    """The schedule that an invocation is of: `due_at` as ISO 8601, `kind` is "due", "missed" or "manual"."""

    def __init__(self, firing):
        self.name = firing["name"]
        self.due_at = firing["dueAt"]
        self.kind = firing["kind"]


class Log:
    """One JSON object per line on stdout: level, message and fields."""

    def debug(self, message, **fields):
        _write("debug", message, fields)

    def info(self, message, **fields):
        _write("info", message, fields)

    def warn(self, message, **fields):
        _write("warn", message, fields)

    def error(self, message, **fields):
        _write("error", message, fields)


class Context:
    """
    The handler's second argument. The names that Lambda has for these things work too, so that a handler
    which was written for it runs as it stands.
    """

    def __init__(self, head, function, cancelled, invokes):
        self.invocation_id = head["id"]
        # From 1; higher when a background invocation is tried again.
        self.attempt = head["attempt"]
        self.function = function
        # When the sandbox is killed: milliseconds since the epoch.
        self.deadline = time.time() * 1000 + head["timeoutMs"]
        # A threading.Event: set shortly before the deadline, and when the caller goes away.
        self.cancelled = cancelled
        # W3C Trace Context: what to send along to whoever is asked meanwhile; None when there is none.
        trace = head.get("trace") or {}
        self.traceparent = trace.get("traceparent")
        self.tracestate = trace.get("tracestate")
        self.log = _LOG
        self._invokes = invokes
        # None, unless a schedule fired.
        firing = head["trigger"].get("schedule")
        self.schedule = None if firing is None else Schedule(firing)

    def invoke(self, name, payload=None, *, background=False, timeout_ms=None, content_type=None, idempotency_key=None):
        """
        Invokes another function of the project (`stock`, `stock@canary` or `stock@3`) and waits for what it answers; with
        `background` until it is on disk. What this function asks with the same `idempotency_key` again is the invocation that it was the
        first time. Raises InvocationError.
        """
        return self._invokes.invoke(name, payload, background, timeout_ms, content_type, idempotency_key)

    async def ainvoke(self, name, payload=None, *, background=False, timeout_ms=None, content_type=None, idempotency_key=None):
        """The same in a coroutine. Cancelled, it ends the other one."""
        return await self._invokes.ainvoke(name, payload, background, timeout_ms, content_type, idempotency_key)

    def remaining_ms(self):
        return max(0, int(self.deadline - time.time() * 1000))

    get_remaining_time_in_millis = remaining_ms

    @property
    def aws_request_id(self):
        return self.invocation_id

    @property
    def function_name(self):
        return self.function.name

    @property
    def function_version(self):
        return str(self.function.version)


class Invocation:
    def __init__(self, head, function, invokes):
        self.head = head
        self.id = head["id"]
        self.invokes = invokes
        self._cancelled = threading.Event()
        self.context = Context(head, function, self._cancelled, invokes)
        # What ends the coroutine of an `async def handler`, while there is one; and whether it is to end.
        self.cancel_task = None
        self.is_over = False

    def cancel(self, ends_task):
        """In the link's thread, while the handler runs."""
        self._cancelled.set()
        if not ends_task:
            return
        self.is_over = True
        cancel_task = self.cancel_task
        if cancel_task is not None:
            cancel_task()


def _write(level, message, fields):
    sys.stdout.write(json.dumps({"level": level, "message": message, **fields}, default=str, ensure_ascii=False) + "\n")


_LOG = Log()
