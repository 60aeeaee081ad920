"""Bodies in, values to handlers; values out, bodies back."""

import json
import sys

from .errors import ReplyError

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
BYTES_TYPE = "application/octet-stream"
# JSON may nest 1,000 deep; Python's parser counts that as calls.
_DEPTH = 2500


class Reply:
    """What goes back to the worker."""

    __slots__ = ("body", "content_type", "response", "pieces")

    def __init__(self, body, content_type=None, response=None, pieces=None):
        self.body = body
        self.content_type = content_type
        self.response = response
        # What the body comes in, where it isn't there yet (pieces.py).
        self.pieces = pieces


def payload_of(body, content_type):
    """JSON is parsed, text is decoded, everything else stays bytes; no body is None."""
    if not body:
        return None
    kind = (content_type or JSON_TYPE).split(";", 1)[0].strip().lower()
    if kind == JSON_TYPE or kind.endswith("+json"):
        with _deep():
            return json.loads(body)
    return body.decode("utf-8", "replace") if kind.startswith("text/") else body


def reply_of(value):
    """None as an empty body, bytes as they are, everything else as JSON."""
    if value is None:
        return Reply(b"")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Reply(bytes(value), BYTES_TYPE)
    return Reply(json_of(value), JSON_TYPE)


def json_of(value):
    try:
        with _deep():
            text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise ReplyError(f"the handler returned a value that has no JSON form: {error}") from None
    except RecursionError:
        raise ReplyError("the handler returned a value that nests too deeply for JSON") from None
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair has a form in JSON, and none in UTF-8.
        return json.dumps(value, separators=(",", ":")).encode()


class _deep:
    def __enter__(self):
        self._before = sys.getrecursionlimit()
        sys.setrecursionlimit(max(_DEPTH, self._before))

    def __exit__(self, *_):
        sys.setrecursionlimit(self._before)
