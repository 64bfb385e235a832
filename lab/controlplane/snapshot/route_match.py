"""What a request must look like, in Envoy's words."""

from collections.abc import Iterator, Mapping
from typing import Final

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, QueryParameterMatcher, RouteMatch
from envoy.type.matcher.v3 import regex_pb2, string_pb2

from lab.controlplane.kinds.http_match import HttpMatch, StringMatch

_EVERY_PATH: Final = "/"
_EVERY_REGEX: Final = ".*"


def route_match(match: HttpMatch | None) -> RouteMatch:
    """None: every request."""
    if match is None:
        return RouteMatch(prefix=_EVERY_PATH)
    made = RouteMatch(
        prefix=_EVERY_PATH,
        case_sensitive={"value": not match.ignore_uri_case},
        headers=[
            *sorted(_headers(match), key=lambda each: each.name),
            *_pseudo_headers(match),
        ],
        query_parameters=[_query(name, match.query[name]) for name in sorted(match.query)],
    )
    uri = match.uri
    if uri is not None:
        if uri.how == "exact":
            made.path = uri.value
        elif uri.how == "prefix":
            made.prefix = uri.value
        elif uri.how == "regex":
            made.safe_regex.CopyFrom(regex_pb2.RegexMatcher(regex=uri.value))
    return made


def takes_every_request(match: RouteMatch) -> bool:
    """After such a route no other one is ever asked."""
    path = match.prefix == _EVERY_PATH or match.safe_regex.regex == _EVERY_REGEX
    return path and not match.headers and not match.query_parameters


def string_matcher(match: StringMatch) -> string_pb2.StringMatcher:
    if match.how == "regex":
        return string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=match.value))
    if match.how == "prefix":
        return string_pb2.StringMatcher(prefix=match.value)
    return string_pb2.StringMatcher(exact=match.value)


def _headers(match: HttpMatch) -> Iterator[HeaderMatcher]:
    for name, wanted in match.headers.items():
        yield _header(name, wanted)
    for name, unwanted in match.without_headers.items():
        made = _header(name, unwanted)
        made.invert_match = True
        # A request without the header is one that has not got this value.
        made.treat_missing_header_as_empty = unwanted.how != "present"
        yield made


def _pseudo_headers(match: HttpMatch) -> Iterator[HeaderMatcher]:
    said: Mapping[str, StringMatch | None] = {
        ":method": match.method,
        ":authority": match.authority,
        ":scheme": match.scheme,
    }
    for name, wanted in said.items():
        if wanted is not None:
            yield _header(name, wanted)


def _header(name: str, wanted: StringMatch) -> HeaderMatcher:
    if wanted.how == "present":
        return HeaderMatcher(name=name, present_match=True)
    return HeaderMatcher(name=name, string_match=string_matcher(wanted))


def _query(name: str, wanted: StringMatch) -> QueryParameterMatcher:
    if wanted.how == "present":
        return QueryParameterMatcher(name=name, present_match=True)
    return QueryParameterMatcher(name=name, string_match=string_matcher(wanted))
