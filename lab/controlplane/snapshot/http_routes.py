"""HTTP routes of VirtualServices, and the one a service has without any.

Does not:  know virtual hosts and route tables (routes.py, gateway_routes.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3.route_components_pb2 import (
    RedirectAction,
    Route,
    RouteAction,
    WeightedCluster,
)

from lab.controlplane.kinds.destination import Destination, HeaderChanges, Headers
from lab.controlplane.kinds.destination_rule import TrafficPolicy
from lab.controlplane.kinds.http_match import HttpMatch
from lab.controlplane.kinds.http_route import HttpRoute, Mirror, Redirect, Rewrite
from lab.controlplane.kinds.load_balancer import ConsistentHash
from lab.controlplane.kinds.service_entry import ServicePort
from lab.controlplane.kinds.virtual_service import VirtualService
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.http_filters import per_route
from lab.controlplane.snapshot.metadata import configured_by
from lab.controlplane.snapshot.packing import percent, seconds
from lab.controlplane.snapshot.retries import retry_policy
from lab.controlplane.snapshot.route_match import route_match, takes_every_request
from lab.controlplane.snapshot.rules import of_port
from lab.controlplane.snapshot.view import Seen, View

DEFAULT: str = "default"

_CODES = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}
_USUAL_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Where requests come from: through which gateway, to which port (0: any), over TLS."""

    view: View
    gateway: str
    port: int
    tls: bool = False
    known: frozenset[str] | None = None
    """Hosts whose ports are known there; None: all that the proxy sees."""

    def seen(self, host: str) -> Seen | None:
        if self.known is not None and host not in self.known:
            return None
        return self.view.by_host.get(host)


def governed(asked: Asked, service: VirtualService) -> list[Route]:
    """Routes up to the first that takes every request."""
    made: list[Route] = []
    for http in service.http:
        for match in http.matches or (None,):
            if _applies(match, asked):
                made.append(_route(asked, service, http, match))
                if match is None or takes_every_request(made[-1].match):
                    return made
    return made


def plain(view: View, seen: Seen, port: ServicePort) -> Route:
    """Without a VirtualService."""
    action = RouteAction(cluster=names.outbound(port.number, seen.host))
    _hash(action, _first_hash(seen.rule.policy if seen.rule else None, port.number))
    _time(action, None)
    action.retry_policy.CopyFrom(retry_policy(None, hashed=False))
    route = Route(name=DEFAULT, match=route_match(None), route=action)
    route.decorator.operation = names.operation(seen.host, port.number)
    return route


def _applies(match: HttpMatch | None, asked: Asked) -> bool:
    """What can be said before a request is there."""
    if match is None:
        return True
    if match.port not in (0, asked.port):
        return False
    if match.gateways:
        return asked.gateway in match.gateways
    proxy = asked.view.proxy
    labelled = all(proxy.labels.get(key) == value for key, value in match.source_labels.items())
    return labelled and match.source_namespace in ("", proxy.namespace)


def _route(asked: Asked, service: VirtualService, http: HttpRoute, match: HttpMatch | None) -> Route:
    about = service.metadata
    route = Route(
        name=f"{http.name}.{match.name}" if match and match.name else http.name,
        match=route_match(match),
        metadata=configured_by("virtual-service", about),
        typed_per_filter_config=per_route(http.fault, http.cors),
    )
    _change_headers(route, http.headers)
    if http.redirect is not None:
        route.redirect.CopyFrom(_redirect(http.redirect, asked))
    elif http.direct_response is not None:
        route.direct_response.status = http.direct_response.status
        if http.direct_response.body:
            route.direct_response.body.inline_string = http.direct_response.body
    else:
        _send(route, asked, http)
    route.decorator.operation = _operation(route, about.name, asked.port)
    return route


def _send(route: Route, asked: Asked, http: HttpRoute) -> None:
    action = RouteAction()
    _time(action, http.timeout)
    authority = _authority(http.headers.request)
    if http.rewrite is not None:
        authority = http.rewrite.authority or authority
        _rewrite(action, http.rewrite)
    if authority:
        action.host_rewrite_literal = authority
    action.request_mirror_policies.extend(_mirrors(asked, http.mirrors))
    hashed = False
    if len(http.route) == 1:
        only = http.route[0]
        action.cluster = _cluster(asked, only.destination)
        _change_headers(route, only.headers)
        own = _authority(only.headers.request)
        if own and not action.host_rewrite_literal:
            action.host_rewrite_literal = own
        hashed = _hash(action, _hash_of(asked, only.destination))
    else:
        for each in http.route:
            if each.weight:  # as istiod: a destination that gets nothing is not mentioned
                weighted = action.weighted_clusters.clusters.add(
                    name=_cluster(asked, each.destination), weight={"value": each.weight}
                )
                _change_headers(weighted, each.headers)
                if _authority(each.headers.request):
                    weighted.host_rewrite_literal = _authority(each.headers.request)
                _hash(action, _hash_of(asked, each.destination))
    if http.retries is None or http.retries.attempts:
        action.retry_policy.CopyFrom(retry_policy(http.retries, hashed=hashed))
    route.route.CopyFrom(action)


def _time(action: RouteAction, timeout: float | None) -> None:
    """No timeout unless one is written; then it bounds what a gRPC client may ask for too."""
    action.timeout.CopyFrom(seconds(timeout or 0))
    action.max_grpc_timeout.CopyFrom(seconds(timeout or 0))


def _rewrite(action: RouteAction, rewrite: Rewrite) -> None:
    if rewrite.pattern:
        action.regex_rewrite.pattern.regex = rewrite.pattern
        action.regex_rewrite.substitution = rewrite.replacement
    elif rewrite.uri:
        action.prefix_rewrite = rewrite.uri


def _cluster(asked: Asked, to: Destination) -> str:
    """The port that is written, else the service's only one, else the port of the request."""
    seen = asked.seen(to.host)
    port = asked.port
    if to.port:
        port = to.port
    elif seen and len(seen.service.ports) == 1:
        port = seen.service.ports[0].number
    return names.outbound(port, to.host, to.subset)


def _mirrors(asked: Asked, mirrors: Iterable[Mirror]) -> Iterator[RouteAction.RequestMirrorPolicy]:
    for mirror in mirrors:
        if mirror.percent == 0:
            continue
        made = RouteAction.RequestMirrorPolicy(
            cluster=_cluster(asked, mirror.destination), trace_sampled={"value": False}
        )
        made.runtime_fraction.default_value.CopyFrom(percent(mirror.percent))
        yield made


def _redirect(redirect: Redirect, asked: Asked) -> RedirectAction:
    made = RedirectAction(
        host_redirect=redirect.authority, path_redirect=redirect.uri, response_code=_CODES[redirect.code]
    )
    if redirect.scheme:
        made.scheme_redirect = redirect.scheme
    port = asked.port if redirect.port_of_request else redirect.port
    # A client needs no port that its scheme means anyway.
    if port != _USUAL_PORTS.get(redirect.scheme or ("https" if asked.tls else "http")):
        made.port_redirect = port
    return made


def _change_headers(route: Route | WeightedCluster.ClusterWeight, headers: Headers) -> None:
    route.request_headers_to_add.extend(_added(headers.request))
    route.request_headers_to_remove.extend(each for each in headers.request.remove if not _internal(each))
    route.response_headers_to_add.extend(_added(headers.response))
    route.response_headers_to_remove.extend(each for each in headers.response.remove if not _internal(each))


def _added(changes: HeaderChanges) -> Iterator[base_pb2.HeaderValueOption]:
    for written, action in (
        (changes.set, base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD),
        (changes.add, base_pb2.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD),
    ):
        for key in sorted(written):
            if not _internal(key):
                yield base_pb2.HeaderValueOption(
                    header={"key": key, "value": written[key]}, append_action=action
                )


def _internal(header: str) -> bool:
    """Those Envoy changes by other means."""
    return header.startswith(":") or header.lower() == "host"


def _authority(changes: HeaderChanges) -> str:
    for written in (changes.set, changes.add):
        for key, value in written.items():
            if key.lower() in (":authority", "host"):
                return value
    return ""


def _hash_of(asked: Asked, to: Destination) -> ConsistentHash | None:
    seen = asked.view.by_host.get(to.host)
    if seen is None or seen.rule is None:
        return None
    subset = next((each.policy for each in seen.rule.subsets if each.name == to.subset), None)
    return _first_hash(subset, to.port) or _first_hash(seen.rule.policy, to.port)


def _first_hash(policy: TrafficPolicy | None, port: int) -> ConsistentHash | None:
    """A port's own settings that hash nothing leave the hash of the whole policy, unlike in its clusters."""
    for each in (of_port(policy, port), policy):
        if each and each.load_balancer and each.load_balancer.hash:
            return each.load_balancer.hash
    return None


def _hash(action: RouteAction, hash_: ConsistentHash | None) -> bool:
    """By what an endpoint is chosen; whether there is anything."""
    if hash_ is None:
        return False
    policy = action.hash_policy.add()
    if hash_.header:
        policy.header.header_name = hash_.header
    elif hash_.cookie:
        policy.cookie.name = hash_.cookie
        policy.cookie.path = hash_.cookie_path
        if hash_.cookie_ttl is not None:
            policy.cookie.ttl.CopyFrom(seconds(hash_.cookie_ttl))
    elif hash_.query:
        policy.query_parameter.name = hash_.query
    else:
        policy.connection_properties.source_ip = True
    return True


def _operation(route: Route, service: str, port: int) -> str:
    """What a trace calls it: host and path or, where weights chose, the VirtualService."""
    match = route.match
    path = match.path or match.safe_regex.regex or f"{match.prefix}*"
    parts = route.route.cluster.split("|")
    if len(parts) == 4:
        return f"{parts[3]}:{parts[1]}{path}"
    return f"{service}:{port}{path}"
