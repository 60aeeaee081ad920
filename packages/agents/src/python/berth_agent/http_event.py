"""
HTTP for a handler: a request as the event of a Lambda function URL, payload format 2.0 (AWS Lambda developer
guide, "Invoking Lambda function URLs"), and what it returns as a response; as src/node/lambda.ts has it.
"""

import base64
import datetime
from collections.abc import Mapping
from urllib.parse import parse_qsl

from . import pieces
from .errors import ReplyError
from .payload import JSON_TYPE, Reply, json_of, reply_of

_MOST_HEADERS = 256


def event_of(body, request, context):
    headers = _joined(request["headers"], lambda name: "; " if name == "cookie" else ",")
    cookie = headers.pop("cookie", None)
    path, _, query = request["url"].partition("?")
    text = _utf8(body)
    now = datetime.datetime.now(datetime.timezone.utc)
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "anonymous",
            "apiId": context.function.name,
            "domainName": headers.get("host", ""),
            "domainPrefix": context.function.name,
            "http": {
                "method": request["method"],
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": headers.get("x-forwarded-for", ""),
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": context.invocation_id,
            "routeKey": "$default",
            "stage": "$default",
            "time": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": len(body) > 0 and text is None,
    }
    if cookie is not None:
        event["cookies"] = cookie.split("; ")
    if query:
        event["queryStringParameters"] = _joined(parse_qsl(query, keep_blank_values=True), lambda _: ",")
    if body:
        event["body"] = base64.b64encode(body).decode() if text is None else text
    return event


def response_of(value, as_events=False):
    """`{statusCode, headers, cookies, body, isBase64Encoded}`, pieces, or any value as 200 JSON. Raises ReplyError."""
    if pieces.is_pieces(value):
        return pieces.reply_of(value, as_events)
    if not isinstance(value, dict) or not isinstance(value.get("statusCode"), (int, float)):
        return reply_of(value)
    status = _status_of(value["statusCode"])
    headers = _headers_of(value)
    has_type = any(name == "content-type" for name, _ in headers)
    if pieces.is_pieces(value.get("body")):
        reply = pieces.reply_of(value["body"], as_events)
        if not has_type:
            headers.append(["content-type", reply.content_type])
        return Reply(b"", None, {"status": status, "headers": headers}, reply.pieces)
    if not has_type:
        headers.append(["content-type", JSON_TYPE])
    return Reply(_body_of(value), None, {"status": status, "headers": headers})


def _status_of(status):
    if 200 <= status <= 599 and int(status) == status:
        return int(status)
    raise ReplyError(f"the handler returned statusCode {status}; it is a whole number from 200 to 599")


def _headers_of(value):
    headers, cookies = value.get("headers"), value.get("cookies")
    if headers is not None and not isinstance(headers, Mapping):
        kind = type(headers).__name__
        raise ReplyError(f'the handler returned headers that are a {kind}; they are a dict, as in {{"x-name": "value"}}')
    if cookies is not None and not isinstance(cookies, (list, tuple)):
        kind = type(cookies).__name__
        raise ReplyError(f'the handler returned cookies that are a {kind}; they are a list, as in ["name=value"]')
    pairs = [[str(name).lower(), _text(name, header)] for name, header in (headers or {}).items()]
    pairs += [["set-cookie", _text("cookies", cookie)] for cookie in cookies or []]
    if len(pairs) > _MOST_HEADERS:
        raise ReplyError(f"the handler returned {len(pairs)} headers; {_MOST_HEADERS} is the most")
    return pairs


def _body_of(value):
    body = value.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        raise ReplyError(f"the handler returned a body that is a {type(body).__name__}; it is text: json.dumps(body)")
    if value.get("isBase64Encoded") is not True:
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except ValueError as error:
        raise ReplyError(f"the handler returned a body that isn't base64: {error}") from None


def _text(name, value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ReplyError(f"the handler returned a header {name!r} that is a {type(value).__name__}; it is text or a number")


def _joined(pairs, separator_of):
    joined = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]}{separator_of(name)}{value}" if name in joined else value
    return joined


def _utf8(body):
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None
