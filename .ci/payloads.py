"""Slack's own bounds of blocks, as its SDK for Python knows them: every block is parsed, and each part of it validates itself."""

import copy
import json
import sys

from slack_sdk.errors import SlackObjectFormationError
from slack_sdk.models.basic_objects import JsonObject
from slack_sdk.models.blocks import Block


def validate(part):
    """The part and what is in it; how many validators were asked."""
    if isinstance(part, (list, tuple)):
        return sum(validate(inner) for inner in part)
    if not isinstance(part, JsonObject):
        return 0
    part.validate_json()
    validators = sum(1 for name in dir(type(part)) if hasattr(getattr(type(part), name, None), "validator"))
    return validators + sum(validate(inner) for inner in vars(part).values())


def check(blocks):
    asked = 0
    for block in blocks:
        parsed = Block.parse(copy.deepcopy(block))
        if parsed is None or type(parsed) is Block:
            raise SlackObjectFormationError(f"not known: {block['type']}")
        asked += validate(parsed)
    return asked


def broken(blocks):
    """The same with one bound passed at a time."""
    for at, block in enumerate(blocks):
        for passed in passing(copy.deepcopy(block)):
            yield [*blocks[:at], passed, *blocks[at + 1 :]]


def passing(block):
    if block["type"] == "header":
        yield {**block, "text": {**block["text"], "text": "x" * 151}}
    if block["type"] == "section" and "fields" in block:
        yield {**block, "fields": block["fields"] * 11}
    if block["type"] == "actions":
        yield {**block, "elements": block["elements"] * 26}
        yield {**block, "elements": [{**block["elements"][0], "text": {"type": "plain_text", "text": "x" * 76}}]}


messages = json.load(open(sys.argv[1], encoding="utf-8"))
asked = planted = 0
for name, message in messages.items():
    try:
        asked += check(message["blocks"])
    except SlackObjectFormationError as error:
        sys.exit(f"{name}: {error}")
    for blocks in broken(message["blocks"]):
        try:
            check(blocks)
        except SlackObjectFormationError:
            planted += 1
            continue
        sys.exit(f"{name}: a bound that was passed on purpose was not noticed: {json.dumps(blocks)[:400]}")
if not asked or not planted:
    sys.exit("nothing was validated")
print(f"slack: {len(messages)} messages within the bounds of slack_sdk: {asked} asked, {planted} passed on purpose and noticed")
