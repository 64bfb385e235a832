"""The little of HTTP/1.1 that a probe needs: a GET, the head of the answer, redirects. Pure.

Not http.client: a probe must end within one time limit for everything, be cancellable, and cost no thread.
"""

from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

from vmagent.health.config import Header

USER_AGENT: Final = "istio-probe/1.0"
"""What Istio's agent sends; access logs are filtered by it."""

LONGEST_HEAD: Final = 64 * 1024
"""Bytes of status line and headers. Servers cut off at 8 to 32 KB themselves."""

MOST_REDIRECTS: Final = 10
"""As Go's client, and so Istio's agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """``host`` without brackets; ``target`` is path and query, ASCII."""

    tls: bool
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{self.target}"

    def follow(self, location: str) -> Self:
        """Raises ValueError for what is not http or https."""
        parts = urlsplit(urljoin(str(self), location))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"redirect to {location[:200]!r}, which is not http")
        tls = parts.scheme == "https"
        query = f"?{parts.query}" if parts.query else ""
        return replace(
            self,
            tls=tls,
            host=parts.hostname,
            port=parts.port or (443 if tls else 80),
            target=target(parts.path + query),
        )


def target(path: str) -> str:
    """What may stand in a request line; characters that may not are percent-encoded, ``%`` itself is left
    alone."""
    path = path if path.startswith("/") else f"/{path}"
    return "".join(c if 33 <= ord(c) < 127 else "".join(f"%{b:02X}" for b in c.encode()) for c in path)


def request(url: Url, headers: tuple[Header, ...], *, first: bool) -> bytes:
    """A configured Host counts only for the ``first`` hop: a redirect names its own."""
    host = next((h.value for h in headers if h.name.lower() == "host" and first), url.authority)
    lines = [f"GET {url.target} HTTP/1.1", f"Host: {host}"]
    if not any(h.name.lower() == "user-agent" for h in headers):
        lines.append(f"User-Agent: {USER_AGENT}")
    lines += [f"{h.name}: {h.value}" for h in headers if h.name.lower() not in ("host", "connection")]
    return "\r\n".join((*lines, "Connection: close", "", "")).encode("utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    status: int
    location: str = ""

    @property
    def redirects(self) -> bool:
        return self.status in (301, 302, 303, 307, 308) and bool(self.location)


def head(data: bytes) -> Head:
    """``data`` is everything up to and with the empty line. Raises ValueError for what is not HTTP."""
    first, *rest = data.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")
    words = first.split(" ", 2)
    if not words[0].startswith("HTTP/") or len(words) < 2 or not (words[1].isdigit() and len(words[1]) == 3):
        raise ValueError("the answer is not HTTP")
    fields = (line.partition(":") for line in rest)
    location = next((value.strip() for name, _, value in fields if name.strip().lower() == "location"), "")
    return Head(status=int(words[1]), location=location)
