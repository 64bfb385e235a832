"""A proxy's configuration as its admin port tells it (``/config_dump?include_eds`` and
``/clusters?format=json``).

Owns:      where in a dump the resources of each type lie, and reading it in both spellings of JSON:
           Envoy's own (``virtual_hosts``) and the one of protobuf (``virtualHosts``), as istioctl prints.
Surprise:  it is read as plain JSON: filters that no library here knows must not hide the routes beside them.
           What is missing or of another type counts as not there.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

Json = Any

_SNAKE: Final = re.compile(r"_([a-z0-9])")
_FIELD: Final = re.compile(r"[a-z][a-z0-9_]*")
_STRUCTS: Final = frozenset({"filter_metadata", "filterMetadata", "metadata_match", "node", "value"})
"""Below these are somebody's own keys, not names of fields."""


class BadDump(ValueError):
    """Not what an Envoy prints; the text says what is missing."""


def at(value: Json, *path: str) -> Json:
    """What lies there, under either spelling; None where nothing does."""
    for step in path:
        if not isinstance(value, Mapping):
            return None
        value = value[step] if step in value else value.get(camel(step))
    return value


def items(value: Json, *path: str) -> list[Json]:
    found = at(value, *path)
    return found if isinstance(found, list) else []


def text(value: Json, *path: str) -> str:
    """A number is its digits; anything else that is no text is empty."""
    found = at(value, *path)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return found if isinstance(found, str) else ""


def texts(value: Json, *path: str) -> list[str]:
    """The items of a list that are text."""
    return [each for each in items(value, *path) if isinstance(each, str)]


def clusters(dump: Json) -> list[Json]:
    section = _section(dump, "ClustersConfigDump")
    return list(_resources(section, ("dynamic_active_clusters", "cluster"), ("static_clusters", "cluster")))


def listeners(dump: Json) -> list[Json]:
    """Those that take connections now; one that is still warming up is not among them."""
    section = _section(dump, "ListenersConfigDump")
    found = [at(each, "active_state", "listener") for each in items(section, "dynamic_listeners")]
    static = _resources(section, ("static_listeners", "listener"))
    return [*(each for each in found if each is not None), *static]


def routes(dump: Json) -> list[Json]:
    section = _section(dump, "RoutesConfigDump")
    return list(
        _resources(
            section, ("dynamic_route_configs", "route_config"), ("static_route_configs", "route_config")
        )
    )


def assignments(dump: Json) -> list[Json]:
    """ClusterLoadAssignments; a dump made without ``include_eds`` has none, which is an error."""
    section = _section(dump, "EndpointsConfigDump")
    return list(
        _resources(
            section,
            ("dynamic_endpoint_configs", "endpoint_config"),
            ("static_endpoint_configs", "endpoint_config"),
        )
    )


def statuses(dump: Json) -> list[Json] | None:
    """Of ``/clusters?format=json``; None for another kind of dump."""
    return items(dump, "cluster_statuses") if at(dump, "cluster_statuses") is not None else None


def as_protobuf_json(value: Json) -> Json:
    """With names of fields as protobuf's JSON has them, which is how istioctl prints."""
    if isinstance(value, list):
        return [as_protobuf_json(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {
        camel(key) if _FIELD.fullmatch(key) else key: each if key in _STRUCTS else as_protobuf_json(each)
        for key, each in value.items()
    }


def camel(name: str) -> str:
    return _SNAKE.sub(lambda found: found[1].upper(), name)


def _section(dump: Json, name: str) -> Json:
    sections = items(dump, "configs")
    found = next((each for each in sections if text(each, "@type").endswith(f".{name}")), None)
    if found is None:
        there = ", ".join(text(each, "@type").rpartition(".")[2] for each in sections) or "no configs"
        hint = " (ask for /config_dump?include_eds)" if name.startswith("Endpoints") and sections else ""
        raise BadDump(f"there is no {name} in it, but {there}{hint}")
    return found


def _resources(section: Json, *places: tuple[str, str]) -> Iterator[Json]:
    for listed, wrapped in places:
        for each in items(section, listed):
            found = at(each, wrapped)
            if found is not None:
                yield found
