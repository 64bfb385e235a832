"""The control plane's page in a real browser, over the real port, with proxies on real streams."""

import asyncio
import html
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.controlplane import type_urls
from lab.controlplane.server import ControlPlane
from tests.browser import Seen, corner, look, picture
from tests.flow.lab.client import delta_stream, stream
from tests.flow.lab.test_streams import SECOND_SERVICE

SCRIPT = "<script>document.title = 'ran'</script>"
LOUD = f"<!doctype html><title>still</title>{SCRIPT}<p>"
QUIET = (
    "<!doctype html><meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
    "<title>still</title><style>body { color: red }</style><p>"
)


@pytest.fixture
async def url(control_plane: ControlPlane) -> AsyncIterator[str]:
    """Of a mesh in which a machine has refused a listener for a reason that is a script."""
    control_plane.apply(SECOND_SERVICE)
    async with (
        stream(control_plane, INSTANCE_IPS="192.168.0.204") as vm,
        delta_stream(control_plane) as other,
    ):
        await vm.get(type_urls.CLUSTER)
        await vm.ask(type_urls.LISTENER)
        await vm.answer()
        await vm.ask(type_urls.LISTENER, error=f"cannot load {SCRIPT}")
        await other.get(type_urls.CLUSTER)
        await control_plane.until(lambda lab: len(lab.connections) == 2 and lab.connections[0].rejected)
        yield f"http://{control_plane.monitoring_listening}/"


async def seen(url: str, profile: Path) -> Seen:
    return await asyncio.to_thread(look, url, profile)


async def test_a_browser_shows_proxies_workloads_and_services(url: str, tmp_path: Path) -> None:
    page = await seen(url, tmp_path)
    for text in (
        "vm204.istio-demo",
        "spiffe://cluster.local/ns/istio-demo/sa/vm",
        "istio-demo/nginx-192.168.0.204",
        "nginx.jd.com",
        "240.240.0.1",
        "192.168.0.204:80",
    ):
        assert text in page.dom
    assert "Content Security Policy" not in page.complaints


async def test_a_script_in_what_a_proxy_says_is_shown_and_not_run(url: str, tmp_path: Path) -> None:
    page = await seen(f"{url}?q=cannot+load", tmp_path)
    assert html.escape(SCRIPT, quote=False) in page.dom
    assert "<script" not in page.dom
    assert "<title>Control plane</title>" in page.dom


async def test_the_browser_would_have_run_it_and_would_have_complained(tmp_path: Path) -> None:
    """Else the tests above could not fail."""
    (tmp_path / "loud.html").write_text(LOUD)
    (tmp_path / "quiet.html").write_text(QUIET)
    assert "<title>ran</title>" in (await seen(f"file://{tmp_path}/loud.html", tmp_path / "a")).dom
    assert (
        "Content Security Policy" in (await seen(f"file://{tmp_path}/quiet.html", tmp_path / "b")).complaints
    )


async def test_its_style_is_its_own_by_day_and_by_night(url: str, tmp_path: Path) -> None:
    day = await asyncio.to_thread(picture, url, tmp_path / "a", tmp_path / "day.png")
    night = await asyncio.to_thread(picture, url, tmp_path / "b", tmp_path / "night.png", dark=True)
    assert corner(day) == (0xFF, 0xFF, 0xFF)
    assert corner(night) == (0x11, 0x16, 0x1D)
