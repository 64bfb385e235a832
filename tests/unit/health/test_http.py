import pytest

from vmagent.health import http
from vmagent.health.config import Header

URL = http.Url(tls=False, host="192.168.0.204", port=8080, target="/healthz?full=1")


def lines(request: bytes) -> list[str]:
    head, empty = request.decode().split("\r\n\r\n")
    assert empty == ""
    return head.split("\r\n")


def test_a_probe_introduces_itself() -> None:
    assert lines(http.request(URL, (), first=True)) == [
        "GET /healthz?full=1 HTTP/1.1",
        "Host: 192.168.0.204:8080",
        "User-Agent: istio-probe/1.0",
        "Connection: close",
    ]


def test_configured_headers_go_along_as_they_are_spelled() -> None:
    headers = (
        Header(name="x-Probe", value="a"),
        Header(name="x-Probe", value="b"),
        Header(name="host", value="shop.example"),
        Header(name="user-agent", value="mine"),
    )
    assert lines(http.request(URL, headers, first=True)) == [
        "GET /healthz?full=1 HTTP/1.1",
        "Host: shop.example",
        "x-Probe: a",
        "x-Probe: b",
        "user-agent: mine",
        "Connection: close",
    ]


def test_after_a_redirect_the_host_is_the_new_one() -> None:
    headers = (Header(name="Host", value="shop.example"),)
    moved = URL.follow("http://other:81/x")
    assert lines(http.request(moved, headers, first=False))[1] == "Host: other:81"


@pytest.mark.parametrize(
    ("path", "target"),
    [("", "/"), ("ready", "/ready"), ("/a b", "/a%20b"), ("/ä", "/%C3%A4"), ("/a%20b?x=%2F", "/a%20b?x=%2F")],
)
def test_a_path_becomes_what_may_stand_in_a_request_line(path: str, target: str) -> None:
    assert http.target(path) == target


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/ready", "http://192.168.0.204:8080/ready"),
        ("ready", "http://192.168.0.204:8080/ready"),
        ("?a=1", "http://192.168.0.204:8080/healthz?a=1"),
        ("https://shop.example/x", "https://shop.example:443/x"),
        ("//[fd00::1]:81", "http://[fd00::1]:81/"),
    ],
)
def test_a_redirect_may_be_relative(location: str, url: str) -> None:
    assert str(URL.follow(location)) == url


@pytest.mark.parametrize(
    "location", ["ftp://x/", "file:///etc/passwd", "https://", "http://[::1", "http://a:x/"]
)
def test_a_redirect_to_elsewhere_is_not_followed(location: str) -> None:
    with pytest.raises(ValueError):
        URL.follow(location)


@pytest.mark.parametrize(
    ("data", "head"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", http.Head(status=200)),
        (b"HTTP/1.0 204\r\n\r\n", http.Head(status=204)),
        (
            b"HTTP/1.1 302 Found\r\nlocation:  /x \r\nX: y\r\n\r\n",
            http.Head(status=302, location="/x"),
        ),
    ],
)
def test_the_head_of_an_answer_is_read(data: bytes, head: http.Head) -> None:
    assert http.head(data) == head


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH\r\n\r\n", b"\r\n\r\n", b"HTTP/1.1 2xx\r\n\r\n", b"HTTP/1.1\r\n\r\n"]
)
def test_what_is_not_http_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(ValueError, match="not HTTP"):
        http.head(data)


def test_a_redirect_without_a_location_is_an_answer() -> None:
    assert not http.Head(status=302).redirects
    assert not http.Head(status=304, location="/x").redirects
    assert http.Head(status=307, location="/x").redirects
