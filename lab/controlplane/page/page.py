"""One page: a search, four tables, and as much of each as a reader takes in.

Owns:      what is cut and how the rest is reached: ``?q=TEXT`` keeps what has the text in it, in every table;
           ``?services=3`` is the third page of that table.
Surprise:  everything that costs as much as the mesh is large is kept until the world changes. Endpoints are
           looked up for the services that are shown.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlencode

from lab.controlplane.connection import Connection
from lab.controlplane.http import HttpRequest, HttpResponse
from lab.controlplane.mesh import Mesh
from lab.controlplane.page import tables
from lab.controlplane.page.facts import Facts, proxy_text, service_text
from lab.controlplane.page.html import Element, Node, document, element
from lab.controlplane.page.style import HEADERS, STYLE
from lab.controlplane.page.tables import Row
from lab.controlplane.registry import World

PER_PAGE: Final = 50
LONGEST_QUERY: Final = 200

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a reader wants to see."""

    text: str
    pages: Mapping[str, int]

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "Asked":
        """What is no number of a page is the first one."""
        pages = {name: int(value) for name, value in query.items() if value.isdecimal() and len(value) < 9}
        return cls(text=query.get("q", "")[:LONGEST_QUERY].strip(), pages=pages)

    def link(self, section: str, page: int) -> str:
        asked = {"q": self.text} if self.text else {}
        return f"?{urlencode({**asked, section: str(page)})}#{section}"


class Page:
    def __init__(
        self,
        world: Callable[[], World],
        mesh: Callable[[World], Mesh],
        connections: Callable[[], Sequence[Connection]],
    ) -> None:
        self._world = world
        self._mesh = mesh
        self._connections = connections
        self._facts: Facts | None = None
        self._of_mesh: Mesh | None = None

    def handle(self, request: HttpRequest) -> HttpResponse:
        body = self._page(Asked.of(request.query))
        return HttpResponse(body=body, content_type="text/html; charset=utf-8", headers=HEADERS)

    def _page(self, asked: Asked) -> str:
        world = self._world()
        mesh = self._mesh(world)
        facts = self._known(world, mesh)
        connections = sorted(self._connections(), key=lambda each: (each.proxy.name, each.id))
        return document(
            "Control plane",
            STYLE,
            _head(mesh),
            _search(asked),
            *(element("p", each, class_="bad") for each in facts.problems[: tables.LISTED]),
            _section(
                "proxies", "Connected proxies", tables.PROXIES, asked, connections, proxy_text, tables.proxy
            ),
            _section(
                "services",
                "Services",
                tables.SERVICES,
                asked,
                facts.services,
                service_text,
                lambda one: tables.service(one, facts),
            ),
            _section(
                "workloads",
                "Workloads",
                tables.WORKLOADS,
                asked,
                facts.workloads,
                lambda one: one.text,
                tables.workload,
            ),
            _section(
                "hosts",
                "Hosts",
                tables.HOSTS,
                asked,
                facts.hosts(connections),
                lambda one: one.text,
                tables.host,
            ),
        )

    def _known(self, world: World, mesh: Mesh) -> Facts:
        if self._facts is None or self._facts.world is not world or self._of_mesh != mesh:
            self._facts, self._of_mesh = Facts(world, mesh), mesh
        return self._facts


def _head(mesh: Mesh) -> Element:
    said = f"cluster {mesh.cluster_id}, trust domain {mesh.trust_domain}"
    return element("header", element("h1", "Control plane"), element("span", said, class_="dim"))


def _search(asked: Asked) -> Element:
    links = [("metrics", "/metrics"), ("debug/syncz", "/debug/syncz")]
    anchors = [(name, f"#{name}") for name in ("proxies", "services", "workloads", "hosts")]
    field = element(
        "input", type="search", name="q", value=asked.text, placeholder="a name, host, address, label",
        aria_label="Show only what has this in it",
    )  # fmt: skip
    return element(
        "div",
        element("nav", *(element("a", name, href=to) for name, to in (*anchors, *links))),
        element("form", field, element("button", "Show"), method="get", action="/"),
    )


def _section(
    name: str,
    title: str,
    heading: tuple[str, ...],
    asked: Asked,
    every: Iterable[_Item],
    text: Callable[[_Item], str],
    rows: Callable[[_Item], list[Row]],
) -> Element:
    every = list(every)
    wanted = asked.text.lower()
    found = [each for each in every if wanted in text(each).lower()] if wanted else every
    last = max(1, -(-len(found) // PER_PAGE))
    page = min(max(asked.pages.get(name, 1), 1), last)
    shown = found[(page - 1) * PER_PAGE : page * PER_PAGE]
    count = str(len(every)) if not wanted else f"{len(found)} of {len(every)}"
    body = [element("tr", *map(_cell, row)) for each in shown for row in rows(each)]
    filled: Node = element(
        "table",
        element("thead", element("tr", *(element("th", each, scope="col") for each in heading))),
        element("tbody", *body),
    )
    if not body:
        filled = element("p", "nothing here" if not wanted else "nothing that has this in it", class_="empty")
    return element(
        "section",
        element("h2", f"{title} ", element("small", count)),
        element("div", filled, class_="frame"),
        *_pages(asked, name, page, last, first=(page - 1) * PER_PAGE + 1, shown=len(shown)),
        id=name,
    )


def _cell(content: Node) -> Node:
    return content if isinstance(content, Element) and content.tag == "td" else element("td", content)


def _pages(asked: Asked, name: str, page: int, last: int, *, first: int, shown: int) -> list[Element]:
    """Nothing where everything fits."""
    if last == 1:
        return []
    links = [("first", 1), ("previous", page - 1)] if page > 1 else []
    links += [("next", page + 1), ("last", last)] if page < last else []
    told = element("span", f"{first} to {first + shown - 1}, page {page} of {last}", class_="dim")
    return [element("nav", told, *(element("a", word, href=asked.link(name, to)) for word, to in links))]
