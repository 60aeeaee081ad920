import re
from collections import Counter


def handler(event, context):
    """How often each word is in event["text"]."""
    return Counter(word.lower() for word in re.findall(r"\w+", event["text"]))
