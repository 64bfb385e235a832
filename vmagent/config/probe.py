"""The application's readiness probe: from a checked ``readinessProbe`` to a typed ``Probe``.

Owns:      what a probe must have, and the defaults of Istio's API (0 and absent mean the default).
Does not:  probe anything (the health room does).
Surprise:  failureThreshold defaults to 3, as the API documents; Istio's code uses 1.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

from vmagent.config.model import Exec, Grpc, HttpGet, Json, Probe, TcpSocket
from vmagent.config.schema import Wrong

METHODS: Final = ("httpGet", "tcpSocket", "exec", "grpc")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""All but the tab, which may stand in the value of a header."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header name (RFC 9110)."""


def probe(document: Mapping[str, Json], default_host: str) -> Probe:
    """``document`` passed the schema: types are right, ports in range. Raises ``Wrong``."""
    methods = [name for name in METHODS if name in document]
    if len(methods) != 1:
        raise Wrong(
            f"has {' and '.join(methods) or 'no method'}",
            f"give exactly one of {', '.join(METHODS)}",
        )
    body = document[methods[0]]
    assert isinstance(body, dict)
    return Probe(
        method=_method(methods[0], body),
        default_host=default_host,
        initial_delay=_number(document, "initialDelaySeconds", 0),
        timeout=_number(document, "timeoutSeconds", 1),
        period=_number(document, "periodSeconds", 10),
        success_threshold=_number(document, "successThreshold", 1),
        failure_threshold=_number(document, "failureThreshold", 3),
    )


def _number(document: Mapping[str, Json], key: str, default: int) -> int:
    value = document.get(key)
    return value if isinstance(value, int) and value else default


def _text(body: Mapping[str, Json], key: str) -> str:
    value = body.get(key)
    return value if isinstance(value, str) else ""


def _port(body: Mapping[str, Json], method: str) -> int:
    port = body.get("port")
    if not isinstance(port, int):
        raise Wrong(f"{method} has no port", "write port: NUMBER")
    return port


def _host(body: Mapping[str, Json], method: str) -> str:
    """Empty: the default host. Else what a resolver can be asked for; the probe tells what it knows."""
    host = _text(body, "host")
    try:
        host.encode("idna")  # as the resolver will: an empty label or one over 63 characters is no name
    except UnicodeError:
        sound = False
    else:
        sound = not re.search(r"\s", host) and not _CONTROL.search(host)
    if not sound:
        raise Wrong(f"{method} has the host {host!r}", "write an address or a name, as in app.example.com")
    return host


def _path(body: Mapping[str, Json]) -> str:
    path = _text(body, "path") or "/"
    if "\t" in path or _CONTROL.search(path):
        raise Wrong(f"httpGet has the path {path!r}", "write it without line breaks and control characters")
    return path


def _method(name: str, body: Mapping[str, Json]) -> HttpGet | TcpSocket | Exec | Grpc:
    match name:
        case "httpGet":
            return HttpGet(
                port=_port(body, name),
                path=_path(body),
                host=_host(body, name),
                scheme=_scheme(_text(body, "scheme")),
                headers=_headers(body.get("httpHeaders")),
            )
        case "tcpSocket":
            return TcpSocket(port=_port(body, name), host=_host(body, name))
        case "grpc":
            return Grpc(port=_port(body, name), service=_text(body, "service"))
        case _:
            command = body.get("command")
            words = (
                tuple(word for word in command if isinstance(word, str)) if isinstance(command, list) else ()
            )
            if not words or not words[0]:
                raise Wrong("exec has no command", "write command: [PROGRAM, ARGUMENT, ...]")
            return Exec(command=words)


def _scheme(text: str) -> Literal["http", "https"]:
    match text.lower():
        case "" | "http":
            return "http"
        case "https":
            return "https"
        case _:
            raise Wrong(f"httpGet has the scheme {text!r}", "write scheme: HTTP or HTTPS")


def _headers(value: Json) -> tuple[tuple[str, str], ...]:
    headers: list[tuple[str, str]] = []
    for item in value if isinstance(value, list) else []:
        name, text = (_text(item, "name"), _text(item, "value")) if isinstance(item, dict) else ("", "")
        if not _TOKEN.fullmatch(name):
            raise Wrong(f"{name!r} is not a header", "write - name: NAME and value: TEXT on one line each")
        if _CONTROL.search(text):
            remedy = "write its value without line breaks and control characters"
            raise Wrong(f"the value of header {name} cannot be sent", remedy)
        headers.append((name, text))
    return tuple(headers)
