"""Port 15014, as istiod has it: metrics, and what the control plane knows of its proxies; and a page for
people. Nothing can be changed here, and no secret is told, so that anybody may look.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from lab.controlplane.http import HttpRequest, HttpResponse
from lab.controlplane.metrics import CONTENT_TYPE, text
from lab.controlplane.page import Page
from lab.controlplane.pilot_metrics import PilotMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    metrics: PilotMetrics
    syncz: Callable[[], Any]
    page: Page

    def handle(self, request: HttpRequest) -> HttpResponse:
        if request.method != "GET":
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is served here\n")
        match request.path:
            case ():
                return self.page.handle(request)
            case ("metrics",):
                return HttpResponse(body=text(self.metrics.instruments()), content_type=CONTENT_TYPE)
            case ("debug", "syncz"):
                return HttpResponse(body=self.syncz())
            case ("ready",) | ("healthz",):
                return _plain(HTTPStatus.OK, "ok\n")
            case _:
                return _plain(HTTPStatus.NOT_FOUND, "/, metrics, debug/syncz and ready are served here\n")


def _plain(status: HTTPStatus, body: str) -> HttpResponse:
    return HttpResponse(body=body, status=status, content_type="text/plain; charset=utf-8")
