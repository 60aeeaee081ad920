"""What a function prints: lines go out as they end, and what is late says so."""

import concurrent.futures.thread
import contextvars
import functools
import io
import logging
import os
import sys
import threading

# The invocation whose code runs here, where that is known: tasks of an event loop and executors' work carry it along.
_OWNER = contextvars.ContextVar("berth_invocation", default=None)
_ATTRIBUTE = "_berth_invocation"
# In front of a line whose level its stream doesn't say, and what is printed by this thread with one now.
_LEVEL_MARK = "\x1e"
_PRINTING = threading.local()


class Output:
    """Takes the place of stdout and stderr."""

    def __init__(self):
        self.current = None
        sys.stdout = sys.__stdout__ = _Stream(1, self)
        sys.stderr = sys.__stderr__ = _Stream(2, self)
        _note_owners(self)

    def begin(self, invocation):
        self.current = invocation
        _OWNER.set(invocation)

    def end(self):
        """What is still buffered would land in the log of the next one."""
        self.flush()
        self.current = None

    def flush(self):
        sys.stdout.flush()
        sys.stderr.flush()

    def mark(self, mark):
        """Says to whoever reads both streams that what was printed so far is all."""
        if mark is None:
            return
        self.flush()
        for descriptor in (1, 2):
            try:
                os.write(descriptor, mark.encode())
            except OSError:
                # The function has closed it: nothing more comes of it anyway.
                pass

    def late_owner(self):
        """The invocation that is over and whose code prints now; None when it is whose turn it is."""
        owner = _OWNER.get()
        if owner is None:
            owner = getattr(threading.current_thread(), _ATTRIBUTE, None)
        return None if owner is self.current else owner


class _Stream(io.TextIOWrapper):
    """Whoever writes to the descriptor itself can't be told apart."""

    def __init__(self, descriptor, output):
        super().__init__(open(descriptor, "wb", closefd=False), "utf-8", "backslashreplace", line_buffering=True)
        self._output = output
        self._within_line = False

    def write(self, text):
        late = self._output.late_owner()
        mark = getattr(_PRINTING, "mark", "")
        if mark and not self._within_line:
            super().write(mark)
        if late is not None and not self._within_line:
            super().write(f"late output of {late.id}: ")
        if mark:
            text = text[:-1].replace("\n", f"\n{mark}") + text[-1:]
        self._within_line = not text.endswith("\n")
        return super().write(text)


def note_levels():
    """What `logging` prints has a level, whichever stream it goes to."""
    emit = logging.StreamHandler.emit

    @functools.wraps(emit)
    def emit_noting(stream_handler, record):
        _PRINTING.mark = _mark_of(record.levelno)
        try:
            emit(stream_handler, record)
        finally:
            _PRINTING.mark = ""

    logging.StreamHandler.emit = emit_noting


def _mark_of(level):
    if level >= logging.ERROR:
        return f"{_LEVEL_MARK}E"
    if level >= logging.WARNING:
        return f"{_LEVEL_MARK}W"
    return f"{_LEVEL_MARK}I" if level >= logging.INFO else f"{_LEVEL_MARK}D"


def _note_owners(output):
    """A thread's owner is whoever started it; an executor's threads serve many, so there it is whoever gave it the work."""
    start = threading.Thread.start

    @functools.wraps(start)
    def start_noting(thread):
        if not _serves_many(thread):
            setattr(thread, _ATTRIBUTE, _OWNER.get() or output.current)
        start(thread)

    threading.Thread.start = start_noting
    submit = concurrent.futures.ThreadPoolExecutor.submit

    @functools.wraps(submit)
    def submit_noting(executor, function, /, *args, **kwargs):
        return submit(executor, contextvars.copy_context().run, function, *args, **kwargs)

    concurrent.futures.ThreadPoolExecutor.submit = submit_noting


def _serves_many(thread):
    return thread._target is concurrent.futures.thread._worker or type(thread).__name__ == "DummyProcess"
