"""A page: what a stranger's name has of HTML is escaped, by the compiled code of a package that requirements.txt names."""

from markupsafe import Markup

PAGE = Markup("<!doctype html><title>Hello</title><h1>Hello, {name}!</h1>")


def handler(event, context):
    event = event or {}
    name = event.get("name") or event.get("queryStringParameters", {}).get("name", "world")
    headers = {"content-type": "text/html; charset=utf-8"}
    return {"statusCode": 200, "headers": headers, "body": str(PAGE.format(name=name))}
