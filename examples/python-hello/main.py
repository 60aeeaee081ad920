"""An event handler: as the payload it gets the event itself, over HTTP a dict with path, headers and body."""

from greetings import greeting


def handler(event, context):
    event = event or {}
    name = event.get("name") or event.get("queryStringParameters", {}).get("name") or "world"
    context.log.info("greeting", name=name)
    return {"hello": name, "text": greeting(name)}
