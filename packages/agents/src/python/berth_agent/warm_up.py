"""
What a first invocation would otherwise pay for: modules that most functions import are imported, and each way
through a handler is gone, while the sandbox waits prewarmed.
"""

import gc
import importlib

from .handler import Handler
from .invocation import Function, Invocation
from .protocol import ANSWER, encode

_MODULES = (
    "argparse asyncio base64 bisect calendar collections.abc concurrent.futures contextlib copy csv dataclasses datetime decimal email.message"
    " enum fnmatch fractions functools glob gzip hashlib heapq hmac html html.parser http.client http.cookies inspect io ipaddress itertools"
    " json logging math mimetypes operator os pathlib pickle platform pprint queue random re secrets shutil signal socket ssl statistics string"
    " struct subprocess tempfile textwrap threading time traceback types typing unicodedata urllib.parse urllib.request uuid warnings weakref"
    " xml.etree.ElementTree zipfile zlib zoneinfo"
).split()
_ROUNDS = 3
_REQUEST = {"method": "POST", "url": "/?a=1", "headers": [["content-type", "application/json"], ["host", "function"]]}
_HEADS = [
    {"id": "", "attempt": 1, "timeoutMs": 1, "trigger": trigger}
    for trigger in ({"kind": "http", "request": _REQUEST}, {"kind": "event", "contentType": "application/json"})
]


def warm_up():
    for name in _MODULES:
        importlib.import_module(name)
    function = Function({"project": "", "function": "", "version": 0})

    async def later(event, _):
        return event

    handlers = [Handler(lambda event, _: event), Handler(later)]
    for _ in range(_ROUNDS):
        for head in _HEADS:
            for handler in handlers:
                reply = handler.handle(b'{"a":1}', Invocation(head, function, None))
                encode(ANSWER, {"id": "", "response": reply.response}, reply.body)
    handlers[1].close()
    # What is there now stays: no collection looks at it again, which would also copy the pages it is on.
    gc.collect()
    gc.freeze()
