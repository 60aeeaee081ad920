"""A function's handler behind one shape: body in, reply out. It raises what the handler raises."""

import importlib.util
import inspect
import os
import sys

from . import http_event, payload, pieces
from .protocol import CODE, PACKAGES


def load(entry):
    """The handler of a source file; None when it has none. Raises what the module raises."""
    for directory in dict.fromkeys((CODE, os.path.dirname(entry)) if entry.startswith(f"{CODE}/") else (os.path.dirname(entry),)):
        sys.path.insert(0, directory)
    # After the standard library's, as everywhere; and not as a site's: no .pth file of a package's is run.
    if os.path.isdir(PACKAGES):
        sys.path.append(PACKAGES)
    stem = os.path.splitext(os.path.basename(entry))[0]
    # A name of the standard library's stays what it is for everybody else.
    name = f"{stem}_function" if stem in sys.modules or stem in sys.stdlib_module_names else stem
    spec = importlib.util.spec_from_file_location(name, entry)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    handler = getattr(module, "handler", None)
    return Handler(handler) if callable(handler) else None


class Handler:
    def __init__(self, target):
        self._target = target
        self._loop = None

    def handle(self, body, invocation):
        trigger = invocation.head["trigger"]
        if trigger["kind"] == "http":
            event = http_event.event_of(body, trigger["request"], invocation.context)
            return http_event.response_of(self._run(event, invocation), _wants_events(trigger["request"]))
        value = self._run(payload.payload_of(body, trigger.get("contentType")), invocation)
        return pieces.reply_of(value, False) if pieces.is_pieces(value) else payload.reply_of(value)

    def _run(self, event, invocation):
        value = self._target(event, invocation.context)
        if inspect.isawaitable(value):
            value = self._settle(value, invocation)
        if isinstance(value, dict) and hasattr(value.get("body"), "__anext__"):
            return {**value, "body": self._each(value["body"], invocation)}
        return self._each(value, invocation) if hasattr(value, "__anext__") else value

    def _each(self, values, invocation):
        """What an async generator yields, one after the other."""
        try:
            while True:
                try:
                    value = self._settle(values.__anext__(), invocation)
                except StopAsyncIteration:
                    return
                yield value
        finally:
            close = getattr(values, "aclose", None)
            if close is not None and self._loop is not None:
                self._loop.run_until_complete(close())

    def _settle(self, awaitable, invocation):
        """On one event loop for all invocations: what a function keeps open belongs to it."""
        import asyncio

        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        loop = self._loop

        async def settled():
            return await awaitable

        task = loop.create_task(settled())
        invocation.cancel_task = lambda: loop.call_soon_threadsafe(task.cancel)
        if invocation.is_over:
            task.cancel()
        try:
            return loop.run_until_complete(task)
        finally:
            invocation.cancel_task = None

    def close(self):
        """Nothing runs on its event loop any more."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None


def _wants_events(request):
    """Whether who asked wants a stream of events (WHATWG HTML, 9.2)."""
    return any(name == "accept" and "text/event-stream" in value.lower() for name, value in request["headers"])
