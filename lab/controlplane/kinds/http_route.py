"""The HTTP routes of a VirtualService: what becomes of a request.

Does not:  know what a request must look like (http_match.py), hosts and gateways (virtual_service.py) or
           Envoy (snapshot/http_routes.py).
"""

from dataclasses import dataclass
from typing import Final

from lab.controlplane.kinds.destination import (
    NO_HEADERS,
    Destination,
    Headers,
    WeightedDestination,
    check_weights,
    read_destination,
    read_headers,
    read_weight,
)
from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.http_filters import Cors, Fault, read_cors, read_fault
from lab.controlplane.kinds.http_match import HttpMatch, check_regex, read_match

_REDIRECT_CODES: Final = (301, 302, 303, 307, 308)
_RETRY_ON: Final = frozenset(
    [
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "retriable-4xx",
        "refused-stream",
        "retriable-status-codes",
        "retriable-headers",
        "envoy-ratelimited",
        "http3-post-connect-failure",
        "cancelled",
        "deadline-exceeded",
        "internal",
        "resource-exhausted",
        "unavailable",
    ]
)
"""Envoy's names of reasons to try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    attempts: int
    per_try_timeout: float | None = None
    retry_on: str = ""
    remote_localities: bool = False
    ignore_previous_hosts: bool | None = None
    """None: unless the request belongs to one endpoint."""
    backoff: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    uri: str = ""
    authority: str = ""
    pattern: str = ""
    replacement: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    uri: str = ""
    authority: str = ""
    scheme: str = ""
    code: int = 301
    port: int = 0
    port_of_request: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectResponse:
    status: int
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    destination: Destination
    percent: float | None = None
    """None: all of them, which istiod writes otherwise than 100.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoute:
    """One of ``route``, ``redirect``, ``direct_response`` is set."""

    name: str = ""
    matches: tuple[HttpMatch, ...] = ()
    route: tuple[WeightedDestination, ...] = ()
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    rewrite: Rewrite | None = None
    timeout: float | None = None
    retries: Retries | None = None
    mirrors: tuple[Mirror, ...] = ()
    fault: Fault | None = None
    cors: Cors | None = None
    headers: Headers = NO_HEADERS


def read_http_route(at: Field) -> HttpRoute | None:
    """None for a route that delegates, which is not served and named as unread."""
    if "delegate" in at:
        at.leave("name", "match")
        return None
    route = HttpRoute(
        name=at["name"].text(""),
        matches=tuple(read_match(each) for each in at["match"]),
        route=tuple(_read_weighted(each) for each in at["route"]),
        redirect=_read_redirect(at["redirect"]),
        direct_response=_read_direct_response(at["directResponse"]),
        rewrite=_read_rewrite(at["rewrite"]),
        timeout=at["timeout"].duration(),
        retries=_read_retries(at["retries"]),
        mirrors=tuple(_read_mirrors(at)),
        fault=read_fault(at["fault"]),
        cors=read_cors(at["corsPolicy"]),
        headers=read_headers(at["headers"]),
    )
    _check(route, at)
    return route


def _check(route: HttpRoute, at: Field) -> None:
    if route.redirect is not None or route.direct_response is not None:
        what = "redirect" if route.redirect is not None else "direct_response"
        for key, there in (("route", route.route), ("fault", route.fault), ("rewrite", route.rewrite)):
            if there and not (key == "fault" and what == "direct_response"):
                raise at[key].bad(f"HTTP route cannot contain both {key} and {what}")
    elif not route.route:
        raise at["route"].bad("HTTP route, redirect or direct_response is required")
    check_weights(route.route, at["route"])
    _check_authority(route, at)


def _check_authority(route: HttpRoute, at: Field) -> None:
    request = route.headers.request
    said = [each for each in (*request.set, *request.add) if each.lower() in ("host", ":authority")]
    if len(said) + bool(route.rewrite and route.rewrite.authority) > 1:
        raise at.bad("authority header cannot be set multiple times: write it once")


def _read_weighted(at: Field) -> WeightedDestination:
    return WeightedDestination(
        destination=read_destination(at["destination"]),
        weight=read_weight(at),
        headers=read_headers(at["headers"]),
    )


def _read_redirect(at: Field) -> Redirect | None:
    if at.absent:
        return None
    redirect = Redirect(
        uri=at["uri"].text(""),
        authority=at["authority"].text(""),
        scheme=at["scheme"].text(""),
        code=at["redirectCode"].number(301),
        port=at["port"].port(0),
        port_of_request=at["derivePort"].choice(
            ("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"), "FROM_PROTOCOL_DEFAULT"
        )
        == "FROM_REQUEST_PORT",
    )
    if redirect.code not in _REDIRECT_CODES:
        raise at["redirectCode"].bad(
            f"is not a valid redirect code: write one of {', '.join(map(str, _REDIRECT_CODES))}"
        )
    if not (
        redirect.uri or redirect.authority or redirect.scheme or redirect.port or redirect.port_of_request
    ):
        raise at.bad("redirect must specify URI, authority, scheme, or port")
    return redirect


def _read_direct_response(at: Field) -> DirectResponse | None:
    if at.absent:
        return None
    return DirectResponse(status=at["status"].number(least=200, most=599), body=at["body"]["string"].text(""))


def _read_rewrite(at: Field) -> Rewrite | None:
    if at.absent:
        return None
    pattern = at["uriRegexRewrite"]
    rewrite = Rewrite(
        uri=at["uri"].text(""),
        authority=at["authority"].text(""),
        pattern=pattern["match"].text(""),
        replacement=pattern["rewrite"].text(""),
    )
    if rewrite.pattern:
        check_regex(pattern["match"], rewrite.pattern)
    if not (rewrite.uri or rewrite.authority or rewrite.pattern):
        raise at.bad("rewrite must specify at least one of URI, authority, or regex")
    if rewrite.uri and rewrite.pattern:
        raise at.bad("rewrite may only contain one of URI or regex")
    return rewrite


def _read_retries(at: Field) -> Retries | None:
    if at.absent:
        return None
    retry_on = at["retryOn"].text("")
    for each in filter(None, retry_on.split(",")):
        if each not in _RETRY_ON and not (each.isdigit() and 100 <= int(each) <= 599):
            raise at["retryOn"].bad(f"{each!r} is not a valid retryOn policy")
    previous = at["retryIgnorePreviousHosts"]
    return Retries(
        attempts=at["attempts"].number(0),
        per_try_timeout=at["perTryTimeout"].duration(),
        retry_on=retry_on,
        remote_localities=at["retryRemoteLocalities"].flag(False),
        ignore_previous_hosts=None if previous.absent else previous.flag(True),
        backoff=at["backoff"].duration(),
    )


def _read_mirrors(at: Field) -> list[Mirror]:
    found = []
    if not at["mirror"].absent:
        percent = at["mirrorPercentage"]["value"].fraction(most=100)
        old = at["mirrorPercent"].fraction(most=100)
        found.append(
            Mirror(destination=read_destination(at["mirror"]), percent=old if percent is None else percent)
        )
    for each in at["mirrors"]:
        percent = each["percentage"]["value"].fraction(most=100)
        found.append(Mirror(destination=read_destination(each["destination"]), percent=percent))
    return found
