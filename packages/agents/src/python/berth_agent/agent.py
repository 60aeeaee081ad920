"""Serves one version, one invocation at a time, as the worker says."""

import functools
import os
import platform
import sys
import time

from . import handler, pieces, protocol, scratch, trust
from .errors import TooLarge, describe
from .invocation import Function, Invocation
from .invokes import Invokes, Questions
from .link import Link
from .output import Output, note_levels
from .payload import Reply
from .warm_up import warm_up


def main():
    word, *more = sys.argv[1:] or [protocol.SOCKET]
    if word == protocol.SERVE:
        from .serve import by_hand

        link_of = by_hand(*more)
    else:
        note_levels()
        link_of = functools.partial(Link, word)
    Agent(link_of).serve()


class Agent:
    def __init__(self, link_of):
        """@param link_of: makes the link of what is to be called when an invocation is cancelled."""
        self._output = Output()
        self._handler = None
        self._function = None
        self._fresh_scratch = False
        self._served = 0
        self._current = None
        self._link = link_of(self._cancel)
        self._questions = Questions(self._link)

    def serve(self):
        self._link.send(protocol.HELLO, {"python": platform.python_version()})
        while True:
            kind, head, body = self._link.next()
            if kind == protocol.PRELOAD:
                warm_up()
                self._link.send(protocol.PRELOADED, {})
            elif kind == protocol.SPECIALISE:
                self._specialise(head, body)
            elif kind == protocol.INVOKE:
                self._invoke(head, body)

    def _specialise(self, head, certificates):
        started_at = time.perf_counter()
        mark = head.get("outputMark")
        if not os.path.exists(head["entry"]):
            self._output.mark(mark)
            self._fail("graft", {"name": "Error", "message": f"{head['entry']} isn't there"})
            return
        trust.trust(certificates)
        os.environ.update(head["env"])
        if "TZ" in head["env"]:
            time.tzset()
        try:
            self._handler = handler.load(head["entry"])
        except SystemExit as ending:
            self._exit(ending)
        except BaseException as error:
            self._output.flush()
            self._output.mark(mark)
            self._fail("init", describe(error))
            return
        if self._handler is None:
            self._output.mark(mark)
            self._fail("no_handler", {"name": "Error", "message": "the module has no handler: def handler(event, context)"})
            return
        self._function = Function(head)
        self._fresh_scratch = head["scratch"] == "fresh"
        self._link.send(protocol.SPECIALISED, {"handler": "event", "initMs": _since(started_at)})

    def _invoke(self, head, body):
        if self._handler is None:
            self._output.mark(head.get("outputMark"))
            self._fail("graft", {"name": "Error", "message": "no function is loaded"}, head["id"])
            return
        if self._fresh_scratch and self._served > 0:
            scratch.empty(trust.FILE)
        self._served += 1
        invocation = Invocation(head, self._function, Invokes(self._questions))
        self._current = invocation
        self._output.begin(invocation)
        cancelled = self._link.cancelled
        if cancelled is not None:
            # It came while this was being made.
            self._cancel(*cancelled)
        started_at = time.perf_counter()
        try:
            reply = self._handler.handle(body, invocation)
            if reply.pieces is not None:
                reply = self._in_pieces(reply, head, invocation)
            run_ms = _since(started_at)
        except SystemExit as ending:
            self._exit(ending)
        except TooLarge as error:
            self._end()
            self._output.mark(head.get("outputMark"))
            self._fail("too_large", {"name": "Error", "message": str(error)}, head["id"])
            return
        except BaseException as error:
            self._end()
            self._output.mark(head.get("outputMark"))
            self._fail("handler", describe(error), head["id"])
            return
        self._end()
        self._output.mark(head.get("outputMark"))
        self._answer(head, reply, run_ms)

    def _in_pieces(self, reply, head, invocation):
        """What is left to answer of one that comes in pieces."""
        request = head["trigger"].get("request")
        if request is not None and request["method"] == "HEAD":
            reply.pieces.close()
            return Reply(b"", reply.content_type, reply.response)
        if "stream" not in head:
            return pieces.collected(reply, head["maxBodyBytes"])
        message = _too_large(reply, head)
        if message is not None:
            raise TooLarge(message)
        self._link.stream = pieces.Stream(self._link, head, invocation)
        try:
            self._link.stream.send(reply)
        finally:
            self._link.stream = None
        return Reply(b"")

    def _end(self):
        self._current.invokes.close()
        self._current = None
        self._output.end()

    def _answer(self, head, reply, run_ms):
        message = _too_large(reply, head)
        if message is not None:
            self._fail("too_large", {"name": "Error", "message": message}, head["id"])
            return
        answer = {"id": head["id"], "attempt": head["attempt"], "runMs": run_ms, "waiting": False}
        if reply.content_type is not None:
            answer["contentType"] = reply.content_type
        if reply.response is not None:
            answer["response"] = reply.response
        self._link.send(protocol.ANSWER, answer, reply.body)

    def _fail(self, phase, error, invocation_id=None):
        self._link.send(protocol.FAILED, {"phase": phase, "error": error, **({} if invocation_id is None else {"id": invocation_id})})

    def _cancel(self, invocation_id, ends_task):
        """In the link's thread, but for what it was too early for."""
        invocation = self._current
        if invocation is not None and invocation.id == invocation_id:
            invocation.cancel(ends_task)

    def _exit(self, ending):
        """What sys.exit() means; the process ends, and threads that still run don't hold it up."""
        code = ending.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
        self._output.flush()
        os._exit(0 if code is None else code & 0xFF if isinstance(code, int) else 1)


def _since(started_at):
    return (time.perf_counter() - started_at) * 1000


def _too_large(reply, head):
    """What of a reply is more than may be; None when nothing is."""
    if len(reply.body) > head["maxBodyBytes"]:
        return f"the response has {len(reply.body)} bytes, the limit is {head['maxBodyBytes']}"
    headers = [] if reply.response is None else reply.response["headers"]
    size = sum(len(part.encode("utf-8", "replace")) for pair in headers for part in pair)
    return f"the response's headers have {size} bytes, the limit is {head['maxHeaderBytes']}" if size > head["maxHeaderBytes"] else None
