"""Dashboards against Grafana's published schema: nothing in them is unknown to it, every value is of its type, and panels lie side by side.

The SDK reads leniently and drops what it does not know. So each dashboard is read, written, and compared with what it was; and the objects
that were read are held against the types that the SDK declares. Each check is shown a dashboard with something wrong in it first.
"""

import copy
import enum
import json
import pathlib
import sys
import types
import typing

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

register_default_plugins()


def lost(source, written, place=""):
    """Members of `source` that are not in `written`, or are something else there."""
    if isinstance(source, dict) and isinstance(written, dict):
        for name, value in source.items():
            if name not in written:
                yield f"{place}/{name}: not known"
            else:
                yield from lost(value, written[name], f"{place}/{name}")
    elif isinstance(source, list) and isinstance(written, list) and len(source) == len(written):
        for at, (one, other) in enumerate(zip(source, written)):
            yield from lost(one, other, f"{place}/{at}")
    elif source != written or isinstance(source, bool) != isinstance(written, bool):
        yield f"{place}: {source!r} was read as {written!r}"


def fits(value, wanted):
    """Whether `value`, as it was read, may stand where the SDK declares `wanted`."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted in (typing.Any, object) or isinstance(wanted, typing.TypeVar):
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in arguments)
    if origin is typing.Literal:
        return value in arguments
    if origin is list:
        return isinstance(value, list) and all(fits(one, arguments[0]) for one in value)
    if origin is dict:
        return isinstance(value, dict)
    if not isinstance(wanted, type):
        return True
    if issubclass(wanted, enum.Enum):
        return value in [member.value for member in wanted]
    if wanted is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted in (str, bool, type(None)):
        return isinstance(value, wanted)
    return True


def misfits(value, place=""):
    """What is not of its declared type, in `value` and below."""
    if isinstance(value, list):
        for at, one in enumerate(value):
            yield from misfits(one, f"{place}/{at}")
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from misfits(one, f"{place}/{name}")
    elif type(value).__module__.startswith("grafana_foundation_sdk.models") and not isinstance(value, enum.Enum):
        for name, wanted in typing.get_type_hints(type(value)).items():
            one = getattr(value, name, None)
            if not fits(one, wanted):
                yield f"{place}/{name}: {one!r} is not {wanted}"
            yield from misfits(one, f"{place}/{name}")


def crowded(source):
    """Panels that lie beyond the edge or over each other, and ids that stand twice."""
    taken, ids = {}, set()
    for panel in source["panels"]:
        title, at = panel["title"], panel["gridPos"]
        if panel["id"] in ids:
            yield f"{title}: its id stands twice"
        ids.add(panel["id"])
        if at["x"] < 0 or at["x"] + at["w"] > 24:
            yield f"{title}: it is wider than the page"
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                if (x, y) in taken:
                    yield f"{title}: it lies over {taken[x, y]}"
                    return
                taken[x, y] = title


def problems(source):
    read = Dashboard.from_json(copy.deepcopy(source))
    written = json.loads(json.dumps(read, cls=JSONEncoder))
    return [*lost(source, written), *misfits(read), *crowded(source)]


def planted(source):
    """The same dashboard with one thing wrong, several times."""

    def with_change(change):
        broken = copy.deepcopy(source)
        change(broken, next(panel for panel in broken["panels"] if panel["type"] == "timeseries"))
        return broken

    yield "an option with a slip", with_change(lambda _, panel: panel["options"].update(legnd={}))
    yield "a query with a slip", with_change(lambda _, panel: panel["targets"][0].update(legendFromat="x"))
    yield "a style that is none", with_change(lambda _, panel: panel["fieldConfig"]["defaults"]["custom"].update(drawStyle="lines"))
    yield "a text for a number", with_change(lambda _, panel: panel["fieldConfig"]["defaults"].update(min="0"))
    yield "a panel over another", with_change(lambda broken, panel: panel["gridPos"].update(broken["panels"][-1]["gridPos"]))
    yield "an id twice", with_change(lambda broken, panel: panel.update(id=broken["panels"][-1]["id"]))


def main():
    files = sorted(pathlib.Path(sys.argv[1]).glob("*.json"))
    assert files, "there are no dashboards"
    failed = panels = 0
    for file in files:
        source = json.loads(file.read_text())
        for what, broken in planted(source):
            if not problems(broken):
                failed += 1
                print(f"{file.name}: {what} was planted, and nothing noticed it")
        for problem in problems(source):
            failed += 1
            print(f"{file.name}{problem}")
        panels += sum(panel["type"] != "row" for panel in source["panels"])
    if failed:
        sys.exit(f"{failed} problems")
    print(f"{len(files)} dashboards with {panels} panels are as Grafana's schema wants them; what was planted was noticed")


main()
