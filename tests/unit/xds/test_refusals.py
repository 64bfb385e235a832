"""A resource that this Envoy cannot have: what Envoy gets in its place, and what the control plane hears."""

from vmagent._pb import wire_pb2 as wire
from vmagent.xds import types
from vmagent.xds.compatibility import Compatibility
from vmagent.xds.messages import Ask, EnvoyClosed, EnvoyOpened, Event, Give, Request, Update, UpstreamOpened
from vmagent.xds.session import Session

LDS, RDS = types.LISTENER, types.ROUTE
STOCK = wire.Node(extensions=[wire.Extension(name="envoy.router")])
ISTIOS = wire.Node(extensions=[wire.Extension(name=name) for name in ("istio_authn", "envoy.router")])

WHY = "istio_authn (no type) is not in this Envoy: authentication: establishes who the peer is"


def listener(*filters: str, mark: str = "") -> bytes:
    """``mark`` makes one version differ from another."""
    chain = wire.FilterChain(
        filters=[wire.Filter(name=each).SerializeToString() for each in (*filters, mark)]
    )
    return wire.Listener(filter_chains=[chain.SerializeToString()]).SerializeToString()


def routes(name: str) -> bytes:
    entry = wire.PerFilterEntry(key=name, value=wire.Any())
    return wire.RouteConfiguration(typed_per_filter_config=[entry.SerializeToString()]).SerializeToString()


class Relay:
    """A session with one Envoy that accepts whatever it gets."""

    def __init__(self, url: str = LDS, names: frozenset[str] = frozenset()) -> None:
        self.url = url
        self.names = names
        self.session = Session((LDS,))
        self.session.on(UpstreamOpened())
        self.asks: list[Ask] = []
        self.gives: list[Give] = []

    def envoy(self, node: wire.Node) -> None:
        self.happens(EnvoyClosed())
        self.happens(EnvoyOpened())
        self.session.compatibility = Compatibility.of(node)
        self.happens(Request(self.url, self.names))

    def update(self, version: str, **resources: bytes) -> None:
        raw = b"".join(resources.values())
        self.happens(Update(self.url, version, f"n{version}", resources, raw))

    def happens(self, event: Event) -> None:
        for command in self.session.on(event):
            if isinstance(command, Give):
                self.gives.append(command)
                self.happens(Request(self.url, self.names, command.nonce))
            elif isinstance(command, Ask):
                self.asks.append(command)

    @property
    def given(self) -> dict[str, bytes]:
        return dict(self.gives[-1].resources)

    @property
    def said(self) -> Ask:
        return self.asks[-1]


def test_the_last_good_version_stays_while_all_others_go_on() -> None:
    relay = Relay()
    relay.envoy(STOCK)
    good, first, second = listener(mark="good"), listener(mark="1"), listener(mark="2")
    relay.update("1", checked=good, other=first)
    assert (relay.said.version, relay.said.error) == ("1", "")
    relay.update("2", checked=listener("istio_authn"), other=second)
    assert relay.given == {"checked": good, "other": second}
    assert (relay.said.version, relay.said.nonce) == ("1", "n2")
    assert relay.said.error.startswith(f"checked: {WHY}; ")
    assert list(relay.session.compatibility.account.refused) == ["Listener checked"]

    relay.update("3", checked=listener("istio_authn", mark="3"), other=first)
    assert relay.given == {"checked": good, "other": first}
    relay.update("4", checked=first, other=first)
    assert relay.given == {"checked": first, "other": first}
    assert (relay.said.version, relay.said.nonce, relay.said.error) == ("4", "n4", "")
    assert not relay.session.compatibility.account.refused


def test_what_never_had_a_good_version_is_left_out() -> None:
    relay = Relay()
    relay.envoy(STOCK)
    relay.update("1", checked=listener("istio_authn"), other=listener())
    assert relay.given == {"other": listener()}
    assert relay.said.error.startswith("checked: ")
    relay.update("2", other=listener())
    assert (relay.said.version, relay.said.error) == ("2", "")
    assert not relay.session.compatibility.account.refused, "what is no more is refused no more"


def test_the_next_envoy_gets_what_the_last_one_had_or_the_newest_if_it_can_have_it() -> None:
    relay = Relay()
    relay.envoy(STOCK)
    relay.update("1", checked=listener(mark="good"))
    relay.update("2", checked=listener("istio_authn"))
    relay.envoy(STOCK)
    assert relay.given == {"checked": listener(mark="good")}
    relay.envoy(ISTIOS)
    assert relay.given == {"checked": listener("istio_authn")}
    assert not relay.session.compatibility.account.refused


def test_routes_are_refused_one_by_one() -> None:
    relay = Relay(RDS, frozenset({"80", "90"}))
    relay.envoy(STOCK)
    relay.update("1", **{"80": routes("envoy.fault"), "90": routes("envoy.fault")})
    relay.update("2", **{"80": routes("istio_authn")})
    assert relay.given == {"80": routes("envoy.fault")}
    assert relay.said.error.startswith(f"80: {WHY}")
    relay.update("3", **{"90": routes("envoy.cors")})
    assert relay.given == {"90": routes("envoy.cors")}
    assert relay.said.error == "", "the refusal was heard, and this update is fine"
    assert list(relay.session.compatibility.account.refused) == ["RouteConfiguration 80"]
    relay.happens(Request(RDS, frozenset({"90"}), relay.gives[-1].nonce))
    assert not relay.session.compatibility.account.refused, "nobody wants it any more"


def test_an_envoy_that_rejects_the_rest_is_heard_instead() -> None:
    session = Session((LDS,))
    session.on(UpstreamOpened())
    session.on(EnvoyOpened())
    session.compatibility = Compatibility.of(STOCK)
    session.on(Request(LDS))
    [give] = session.on(Update(LDS, "1", "a", {"checked": listener("istio_authn"), "other": b""}, b"raw"))
    assert isinstance(give, Give)
    [ask] = session.on(Request(LDS, nonce=give.nonce, error="no port"))
    assert ask == Ask(LDS, version="", nonce="a", error="no port")
