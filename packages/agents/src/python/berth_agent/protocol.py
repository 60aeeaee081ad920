"""Frames between worker and agent, as packages/contracts/src/{framing,agent-protocol}.ts have them."""

import json
import struct

# worker → agent
PRELOAD, SPECIALISE, INVOKE, CANCEL, REPLY, CREDIT = 1, 2, 3, 4, 5, 10
# agent → worker
HELLO, PRELOADED, SPECIALISED, FAILED, ANSWER, QUESTION, STREAMED, CHUNK = 16, 17, 18, 19, 20, 22, 32, 33

# The first argument where nobody is there to connect to, instead of a socket's path.
SERVE = "serve"
SOCKET = "/run/berth/agent.sock"
CODE = "/function/code"
# Where pip put what requirements.txt names.
PACKAGES = f"{CODE}/site-packages"

_PREFIX = struct.Struct(">IBI")
PREFIX_BYTES = _PREFIX.size
# What the length doesn't count is the length itself; what it does count and isn't head or body: type and head's length.
_LENGTH_BYTES, _FIXED_BYTES = 4, 5
MOST_BODY_BYTES = 6 * 1024 * 1024
_MOST_BYTES = _FIXED_BYTES + 256 * 1024 + MOST_BODY_BYTES


class FrameError(Exception):
    """What came isn't a frame."""


def encode(kind, head, body=b""):
    """One frame as bytes."""
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((_PREFIX.pack(_FIXED_BYTES + len(text) + len(body), kind, len(text)), text, body))


def lengths(prefix):
    """Type, head's and body's length of the frame that begins so. Raises FrameError."""
    rest, kind, head_bytes = _PREFIX.unpack(prefix)
    body_bytes = rest - _FIXED_BYTES - head_bytes
    if rest > _MOST_BYTES or body_bytes < 0:
        raise FrameError(f"a frame of {rest} bytes with a head of {head_bytes}")
    return kind, head_bytes, body_bytes
