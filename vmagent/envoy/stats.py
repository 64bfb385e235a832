"""Which of Envoy's statistics exist, and which parts of their names become tags.

Owns:      Istio's tag and inclusion lists, and what annotations and proxyStatsMatcher add to them.
Does not:  know who reads the numbers.
Surprise:  what is not included does not exist: an operator who wants ``ssl.handshake`` asks for it in
           proxyStatsMatcher.
"""

import json
import logging
from collections.abc import Iterable, Mapping

from vmagent.envoy import document
from vmagent.envoy.config import EnvoyConfig, Json, Object

log = logging.getLogger("envoy")

_TAGS = (
    ("cluster_name", r"^cluster(\.(.+);)"),
    ("http_conn_manager_prefix", r"^http\.(((?:[_.[:digit:]\w]*|[_\[\]aAbBcCdDeEfF[:digit:]\w\:]*));\.)"),
    ("thread_name", r"^server(\.(.+))\.watchdog"),
    ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    (
        "http_conn_manager_listener_prefix",
        r"^listener(?=\.).*?\.http\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)",
    ),
    ("listener_address", r"^listener\.(((?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*))\.)"),
    ("mongo_prefix", r"^mongo\.(.+?)\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$"),
)
_TAGS_AFTER_EXTRA = (
    ("cache", r"(cache\.(.+?)\.)"),
    ("component", r"(component\.(.+?)\.)"),
    ("tag", r"(tag\.(.+?);\.)"),
    ("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
    ("authz_enforce_result", r"rbac(\.(allowed|denied))"),
    ("authz_dry_run_action", r"(\.istio_dry_run_(allow|deny)_)"),
    ("authz_dry_run_result", r"(\.shadow_(allowed|denied))"),
)

_PREFIXES = ("cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm")
_SUFFIXES = ("rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied")
_REGEXPS = (r"vhost\..*\.route\..*",)

FLUSH_DEFAULT = 5.0
"""Seconds; Envoy's own stats_flush_interval where none is set."""


def annotations(config: EnvoyConfig) -> Mapping[str, Json]:
    return document.section(config.node.metadata, "ANNOTATIONS")


def stats_config(config: EnvoyConfig) -> Object:
    made: Object = {
        "use_all_default_tags": False,
        "stats_tags": [{"tag_name": name, "regex": regex} for name, regex in _tags(config)],
        "stats_matcher": {"inclusion_list": {"patterns": list(_patterns(config))}},
    }
    if buckets := _buckets(config):
        made["histogram_bucket_settings"] = buckets
    return made


def flush(config: EnvoyConfig) -> Object:
    """Top-level bootstrap fields: how often numbers are flushed, and when idle ones are dropped."""
    notes, made = annotations(config), Object()
    every = FLUSH_DEFAULT
    if given := document.text(notes, "sidecar.istio.io/statsFlushInterval"):
        every = document.seconds(given, key="sidecar.istio.io/statsFlushInterval")
        made["stats_flush_interval"] = document.proto_duration(every)
    if given := document.text(notes, "sidecar.istio.io/statsEvictionInterval"):
        evict = document.seconds(given, key="sidecar.istio.io/statsEvictionInterval")
        if every and evict % every == 0:
            made["stats_eviction_interval"] = document.proto_duration(evict)
        else:
            log.warning(
                "statsEvictionInterval %s is not a multiple of the flush interval %gs: ignored", given, every
            )
    return made


def _tags(config: EnvoyConfig) -> Iterable[tuple[str, str]]:
    extra = document.texts(config.proxy_config, "extraStatTags")
    extra += _items(annotations(config), "sidecar.istio.io/extraStatTags")
    yield from _TAGS
    for tag in dict.fromkeys(extra):
        yield tag, rf"({tag}=\.=(.*?);\.;)"
    yield from _TAGS_AFTER_EXTRA


def _patterns(config: EnvoyConfig) -> Iterable[Object]:
    yield {"prefix": "reporter="}
    if config.metadata_discovery and config.delta_xds:
        yield {"prefix": "workload_discovery"}
    for prefix in (*_wanted(config, "Prefixes"), *_PREFIXES):
        yield {"prefix": prefix}
    for suffix in (*_wanted(config, "Suffixes"), *_SUFFIXES):
        yield {"suffix": suffix}
    yield {
        "suffix": "downstream_cx_active"
    }  # a stop waits until nobody is connected; Istio's only on request
    for regex in (*_wanted(config, "Regexps"), *_REGEXPS):
        yield {"safe_regex": {"regex": regex}}
    yield {"prefix": "component"}
    yield {"prefix": "istio"}


def _wanted(config: EnvoyConfig, kind: str) -> list[str]:
    """The operator's own items: from the annotation, or, only if that is empty, from proxyStatsMatcher."""
    items = _items(annotations(config), f"sidecar.istio.io/statsInclusion{kind}")
    items = items or document.texts(
        document.section(config.proxy_config, "proxyStatsMatcher"), f"inclusion{kind}"
    )
    expanded: list[str] = []
    for item in items:
        expanded += [item.replace("{pod_ip}", ip) for ip in config.ips] if "{pod_ip}" in item else [item]
    return expanded


def _items(notes: Mapping[str, Json], key: str) -> list[str]:
    return [item.strip() for item in document.text(notes, key).split(",") if item.strip()]


def _buckets(config: EnvoyConfig) -> list[Json]:
    key = "sidecar.istio.io/statsHistogramBuckets"
    given = document.text(annotations(config), key)
    if not given:
        return []
    try:
        wanted = json.loads(given)
    except json.JSONDecodeError as why:
        log.warning("annotation %s is not JSON and ignored: %s", key, why)
        return []
    return [{"match": {"prefix": prefix}, "buckets": wanted[prefix]} for prefix in sorted(wanted)]
