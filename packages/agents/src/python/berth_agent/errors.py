"""Whatever was raised, as something that can be sent."""

import os
import traceback

from .protocol import CODE

_MESSAGE_CHARS = 8192
_STACK_CHARS = 16_384
_AGENT = os.path.dirname(__file__)


class ReplyError(TypeError):
    """The handler's own mistake about what it returned."""


class TooLarge(Exception):
    """A body that has more bytes than it may."""


class Cancelled(Exception):
    """Nobody waits for the answer any more."""


def describe(error):
    """Never raises itself, whatever the error's methods do."""
    try:
        kind = type(error)
        is_plain = kind.__module__ == "builtins" or kind.__module__.partition(".")[0] == __package__
        name = kind.__qualname__ if is_plain else f"{kind.__module__}.{kind.__qualname__}"
        stack = "".join(traceback.format_exception(kind, error, _own_frames(error.__traceback__)))
        return {"name": name, "message": str(error)[:_MESSAGE_CHARS], "stack": _cut(stack.replace(f"{CODE}/", ""))}
    except BaseException:
        return {"name": "Error", "message": "something was raised that can't be described"}


def _own_frames(trace):
    """Without the frames of ours and of the import machinery that lead to the function's first."""
    rest = trace
    while rest is not None and _is_foreign(rest.tb_frame.f_code.co_filename):
        rest = rest.tb_next
    return rest


def _is_foreign(filename):
    return filename.startswith(_AGENT) or filename.startswith("<frozen importlib")


def _cut(stack):
    """The end of a traceback says most."""
    if len(stack) <= _STACK_CHARS:
        return stack
    quarter = _STACK_CHARS // 4
    return f"{stack[:quarter]}\n  …\n{stack[-(_STACK_CHARS - quarter - 8):]}"
