"""One answer of several sources, good and bad ones."""

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Callable

import pytest

from tests.flow.status.world import Asked, agent, application
from tests.unit.status.texts import read, write
from vmagent.errors import Unavailable
from vmagent.status import scrape, translate
from vmagent.status.exposition import Format, Metric

ENVOY = '# TYPE envoy_requests counter\nenvoy_requests{a="b"} 3\n# TYPE up gauge\nup{of="envoy"} 1\n'
SHOP = '# TYPE sold_total counter\nsold_total 7\n# TYPE up gauge\nup{of="shop"} 1\n'
OPEN = "# TYPE sold counter\nsold_total 7\n# EOF\n"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
HURRY = {"X-Prometheus-Scrape-Timeout-Seconds": "0.5"}
CALM = {"X-Prometheus-Scrape-Timeout-Seconds": "30"}
"""For what is to be found out, however busy the machine is."""


async def test_agent_envoy_and_application_make_one_sound_text() -> None:
    with application(ENVOY) as envoy, application(SHOP) as shop:
        async with agent((shop.port, "/metrics"), envoy=envoy.port) as port:
            for path in ("/metrics", "/stats/prometheus"):
                answer = await asyncio.to_thread(port.ask, path)
                assert (answer.status, answer.headers["Content-Type"]) == (200, Format.TEXT.value)
                for line in ("vmagent_test 1", 'envoy_requests{a="b"} 3', "sold_total 7"):
                    assert f"\n{line}\n" in answer.text
                assert answer.text.count("# TYPE up gauge\n") == 1
                assert write(read(answer.text)) == answer.text


async def test_the_query_is_for_envoy_and_who_asks_is_for_all() -> None:
    with application(ENVOY) as envoy, application(SHOP) as shop:
        async with agent((shop.port, "/my/metrics"), envoy=envoy.port) as port:
            headers = {"User-Agent": "Prometheus/3", "Accept": f"{OPENMETRICS};q=0.9,text/plain;q=0.1"}
            await asyncio.to_thread(port.ask, "/metrics?usedonly&filter=x", headers | HURRY)
    ((envoys_path, to_envoy),) = envoy.asked
    ((shops_path, to_shop),) = shop.asked
    assert (envoys_path, shops_path) == ("/stats/prometheus?usedonly&filter=x", "/my/metrics")
    for got in (to_envoy, to_shop):
        assert got["User-Agent"] == "Prometheus/3"
        assert got["Accept"] == "text/plain;version=0.0.4"
        assert 0.2 < float(got["X-Prometheus-Scrape-Timeout-Seconds"]) <= 0.4


@pytest.mark.parametrize("write", [str.lower, str.upper, str.title])
async def test_the_case_of_a_header_does_not_matter(write: Callable[[str], str]) -> None:
    """Envoy, through which ENVOY_SECURE_MERGED_METRICS_PORT is scraped, writes them in lower case."""
    asking = {"Accept": OPENMETRICS, "User-Agent": "Prometheus/3", **HURRY}
    with application(lambda asked: asked.answer(OPEN.encode(), kind=OPENMETRICS)) as shop:
        async with agent((shop.port, "/metrics")) as port:
            headers = {write(name): value for name, value in asking.items()}
            answer = await asyncio.to_thread(port.ask, "/metrics", headers)
    ((_, got),) = shop.asked
    assert answer.headers["Content-Type"] == Format.OPENMETRICS.value
    assert got["User-Agent"] == "Prometheus/3"
    assert 0.2 < float(got["X-Prometheus-Scrape-Timeout-Seconds"]) <= 0.4


async def test_a_query_beyond_ascii_reaches_envoy_byte_for_byte() -> None:
    with application(ENVOY) as envoy:
        async with agent(envoy=envoy.port) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
            writer.write(b"GET /metrics?a=\xe9\xff&b=%41+c#[\x7f HTTP/1.0\r\n\r\n")
            text = (await reader.read()).decode()
            writer.close()
    assert "\nenvoy_requests{" in text
    assert 'istio_agent_scrape_failures_total{type="envoy"} 0\n' in text
    assert [path for path, _ in envoy.asked] == ["/stats/prometheus?a=%E9%FF&b=%41+c#[%7F"]


async def test_a_text_that_cannot_be_translated_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the reason: nobody knows the next one."""

    def fails(found: object) -> None:
        raise OverflowError("cannot convert")

    monkeypatch.setattr(translate, "as_text", fails)
    with application(ENVOY) as envoy:
        with application(lambda asked: asked.answer(OPEN.encode(), kind=OPENMETRICS)) as shop:
            async with agent((shop.port, "/metrics"), envoy=envoy.port) as port:
                answers = [await asyncio.to_thread(port.ask, "/metrics", CALM) for _ in range(2)]
    assert [answer.failures("application") for answer in answers] == [1, 2]
    assert all("envoy_requests" in answer.text and "sold" not in answer.text for answer in answers)
    (said,) = [record.message for record in caplog.records if record.name == "status"]
    assert said.endswith("/metrics is left out: OverflowError: cannot convert")


async def test_without_envoy_an_application_may_speak_openmetrics() -> None:
    with application(lambda asked: asked.answer(OPEN.encode(), kind=OPENMETRICS)) as shop:
        async with agent((shop.port, "/metrics")) as port:
            new = await asyncio.to_thread(port.ask, "/metrics", {"Accept": OPENMETRICS})
            old = await asyncio.to_thread(port.ask, "/metrics")
    assert shop.asked[0][1]["Accept"].startswith("application/openmetrics-text;version=1.0.0,")
    assert new.headers["Content-Type"] == Format.OPENMETRICS.value
    assert "# TYPE sold counter\nsold_total 7\n" in new.text
    assert new.text.endswith("# EOF\n")
    assert write(read(new.text, Format.OPENMETRICS), Format.OPENMETRICS) == new.text
    assert old.headers["Content-Type"] == Format.TEXT.value
    assert "# TYPE sold_total counter\nsold_total 7\n" in old.text
    assert write(read(old.text)) == old.text


async def test_one_application_of_two_that_speaks_text_makes_all_of_it_text() -> None:
    with application(lambda asked: asked.answer(OPEN.encode(), kind=OPENMETRICS)) as shop:
        with application("other 1\n") as other:
            async with agent((shop.port, "/metrics"), (other.port, "/metrics")) as port:
                answer = await asyncio.to_thread(port.ask, "/metrics", {"Accept": OPENMETRICS})
    assert answer.headers["Content-Type"] == Format.TEXT.value
    assert "# TYPE sold_total counter\nsold_total 7\nother 1\n" in answer.text


def slowly(asked: Asked) -> None:
    """A line now and then, for ever."""
    asked.send_response(200)
    asked.end_headers()
    while True:
        asked.wfile.write(b"drip 1\n")
        time.sleep(0.05)


def silently(asked: Asked) -> None:
    time.sleep(3)


def hugely(asked: Asked) -> None:
    asked.send_response(200)
    asked.end_headers()
    line = b'huge{why="%s"} 1\n' % (b"x" * 10_000)
    for _ in range(2 * scrape.LARGEST_APPLICATION // len(line)):
        asked.wfile.write(line)


def in_half(asked: Asked) -> None:
    asked.answer(b"half 1\n", headers={"Content-Length": "100"})


def away(asked: Asked) -> None:
    asked.answer(b"", status=302, headers={"Location": "http://198.51.100.1/metrics"})


def in_circles(asked: Asked) -> None:
    asked.answer(b"", status=302, headers={"Location": asked.path})


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (slowly, "did not answer in time"),
        (silently, "did not answer in time"),
        (hugely, "it is larger than 10485760 bytes"),
        (in_half, "it breaks off after 7 bytes"),
        (away, "redirects to another server"),
        (in_circles, "more than 3 redirects"),
        (lambda asked: asked.answer(b"<html>\n"), "line 1 is no sample: '<html>'"),
        (lambda asked: asked.answer(b"x 1\n", kind=OPENMETRICS), "there is no # EOF"),
        (lambda asked: asked.answer(b"x 1 NaN\n# EOF\n", kind=OPENMETRICS), "line 1 has a time that is none"),
        (lambda asked: asked.answer(b"x 1 1e400\n# EOF\n", kind=OPENMETRICS), "a time that is none"),
        (lambda asked: asked.answer(b"", status=302, headers={"Location": "http://[x/"}), "Invalid IPv6 URL"),
        (lambda asked: asked.answer(b"x 1\n", status=500), "it answered 500"),
        (lambda asked: asked.wfile.write(b"hello\n"), "hello"),
        (lambda asked: asked.connection.close(), ""),
    ],
)
async def test_a_bad_application_costs_its_own_numbers_only(
    reply: object, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(reply)
    with application(ENVOY) as envoy, application(reply) as shop:
        async with agent((shop.port, "/metrics"), envoy=envoy.port) as port:
            patience = HURRY if reply in (slowly, silently) else CALM
            began = time.monotonic()
            answers = [await asyncio.to_thread(port.ask, "/metrics", patience) for _ in range(2)]
            took = time.monotonic() - began
    assert took < 10 or patience is CALM
    assert [answer.status for answer in answers] == [200, 200]
    assert [answer.failures("application") for answer in answers] == [1, 2]
    assert [answer.failures("envoy") for answer in answers] == [0, 0]
    assert "envoy_requests" in answers[1].text
    assert write(read(answers[1].text)) == answers[1].text
    (said,) = [record.message for record in caplog.records if record.name == "status"]
    assert f"the application on port {shop.port}/metrics is left out" in said
    assert why in said


async def test_nobody_there_is_counted_and_a_return_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "status")
    there = False

    def reply(asked: Asked) -> None:
        asked.answer(ENVOY.encode(), status=200 if there else 503)

    with socket.socket() as nobody, application(reply) as envoy:
        nobody.bind(("127.0.0.1", 0))
        async with agent((nobody.getsockname()[1], "/metrics"), envoy=envoy.port) as port:
            answer = await asyncio.to_thread(port.ask, "/metrics")
            there = True
            await asyncio.to_thread(port.ask, "/metrics")
    assert (answer.failures("envoy"), answer.failures("application")) == (1, 1)
    assert "vmagent_test 1\n" in answer.text
    away, refused, back = [record.message for record in caplog.records if record.name == "status"]
    assert away.endswith("/stats/prometheus: it answered 503")
    assert refused.endswith("/metrics: Connection refused")
    assert back == "metrics: Envoy is there again"


async def test_a_redirect_on_the_same_server_is_followed() -> None:
    def reply(asked: Asked) -> None:
        if asked.path == "/metrics":
            asked.answer(b"", status=307, headers={"Location": "/metrics/?all"})
        else:
            asked.answer(b"sold 1\n")

    with application(reply) as shop:
        async with agent((shop.port, "/metrics")) as port:
            assert "\nsold 1\n" in (await asyncio.to_thread(port.ask, "/metrics")).text
    assert [path for path, _ in shop.asked] == ["/metrics", "/metrics/?all"]


async def test_trouble_of_our_own_is_counted_too() -> None:
    def broken() -> list[Metric]:
        raise Unavailable("no token")

    async with agent(facts=broken) as port:
        answer = await asyncio.to_thread(port.ask, "/metrics")
    assert answer.status == 200
    assert answer.failures("agent") == 1
    assert "process_resident_memory_bytes" in answer.text


async def test_the_process_metrics_are_the_applications_if_it_has_some() -> None:
    text = "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes 42\n"
    with application(text) as shop:
        async with agent((shop.port, "/metrics")) as port:
            answer = await asyncio.to_thread(port.ask, "/metrics")
    assert [line for line in answer.text.splitlines() if line.startswith("process_resident")] == [
        "process_resident_memory_bytes 42"
    ]
    assert "vmagent_resident_memory_bytes " in answer.text


async def test_many_scrapes_at_once_do_not_mix() -> None:
    def reply(asked: Asked) -> None:
        asked.answer(f'who{{agent="{asked.headers["User-Agent"]}"}} 1\n'.encode())

    with application(reply) as shop:
        async with agent((shop.port, "/metrics")) as port:
            names = [f"scraper-{n}" for n in range(20)]
            answers = await asyncio.gather(
                *(asyncio.to_thread(port.ask, "/metrics", {"User-Agent": name}) for name in names)
            )
            last = await asyncio.to_thread(port.ask, "/metrics")
    for name, answer in zip(names, answers, strict=True):
        assert [line for line in answer.text.splitlines() if line.startswith("who")] == [
            f'who{{agent="{name}"}} 1'
        ]
    assert "istio_agent_scrapes_total 21\n" in last.text


async def test_slow_scrapes_leave_readiness_alone_and_no_thread_behind() -> None:
    with application(slowly) as shop:
        async with agent((shop.port, "/metrics")) as port:
            before = threading.active_count()
            slow = [
                asyncio.create_task(asyncio.to_thread(port.ask, "/metrics", HURRY))  # noqa: TID251
                for _ in range(4)
            ]
            assert (await asyncio.to_thread(port.ask, "/healthz/ready")).status == 200
            assert not any(task.done() for task in slow)
            await asyncio.gather(*slow)
            deadline = time.monotonic() + 5
            while [t for t in threading.enumerate() if t.name.startswith("scrape-")]:
                assert time.monotonic() < deadline, f"{threading.active_count()} threads, {before} before"
                await asyncio.sleep(0.01)


async def test_a_large_text_is_packed_for_whoever_takes_it() -> None:
    text = "".join(f'sold{{item="{n}"}} {n}\n' for n in range(2000))
    with application(text) as shop:
        async with agent((shop.port, "/metrics")) as port:
            plain = await asyncio.to_thread(port.ask, "/metrics")
            small = await asyncio.to_thread(port.ask, "/metrics", {"Accept-Encoding": "gzip, zstd"})
            head = await asyncio.to_thread(port.ask, "/metrics", method="HEAD")
    assert text in plain.text
    assert small.headers["Content-Encoding"] == "gzip"
    assert len(small.body) < len(plain.body) / 3
    assert text in gzip.decompress(small.body).decode()
    assert (head.body, head.status) == (b"", 200)
