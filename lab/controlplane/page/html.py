"""HTML as values: whatever is not made here is text, and text is escaped.

Owns:      the only place where text becomes markup. Names, hosts and reasons come from documents and proxies,
           so from anybody.
"""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_ALONE = frozenset({"input", "meta"})
"""Elements without content or end."""

Attributes = Mapping[str, str]
_NONE: Attributes = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Element:
    tag: str
    content: tuple["Node", ...] = ()
    attributes: Attributes = field(default_factory=dict)

    def __str__(self) -> str:
        named = "".join(f' {name}="{html.escape(value)}"' for name, value in self.attributes.items())
        if self.tag in _ALONE:
            return f"<{self.tag}{named}>"
        return f"<{self.tag}{named}>{rendered(self.content)}</{self.tag}>"


@dataclass(frozen=True, slots=True)
class Style:
    """Our own style sheet, in which nobody's text stands."""

    css: str

    def __str__(self) -> str:
        return f"<style>{self.css}</style>"


Node = str | Element | Style


def element(tag: str, *content: Node, **attributes: str) -> Element:
    """``class_`` is class, ``for_`` is for; other underscores are dashes."""
    named = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    return Element(tag, content, named)


def rendered(nodes: Iterable[Node]) -> str:
    return "".join(html.escape(each) if isinstance(each, str) else str(each) for each in nodes)


def document(title: str, style: Style, *body: Node) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        style,
    )
    return f"<!doctype html>\n{element('html', head, element('body', *body), lang='en')}\n"
