"""What no single setting can know: checks that span several, and what is valid and may still surprise.

Owns:      the sentences about fields of the merged ProxyConfig, about ports, and the notes.
Does not:  resolve anything (resolve.py).
"""

from collections.abc import Iterable, Iterator

from vmagent.config import sections, settings
from vmagent.config.capture_settings import CAPTURE
from vmagent.config.layers import Environment
from vmagent.config.merge import XDS_PORT, Merged, istiod
from vmagent.config.model import Envoy, Status
from vmagent.config.problem import Problem
from vmagent.config.schema import seconds
from vmagent.config.unused import UNUSED


def field(merged: Merged, key: str, why: str, remedy: str) -> Problem:
    said = merged.origins[f"defaultConfig.{key}"][0]
    value = None if isinstance(merged.proxy_config[key], dict | list) else said.text
    return Problem(where=str(said.origin), key=f"defaultConfig.{key}", value=value, why=why, remedy=remedy)


def fields(merged: Merged, proxy: Envoy) -> Iterator[Problem]:
    for key in ("configPath", "binaryPath"):
        if not merged.text(key):
            yield field(merged, key, "empty", "write a path or leave the line out")
    if proxy.drain_time < 1 or not proxy.drain_time.is_integer():
        yield field(merged, "drainDuration", "not whole seconds", "write whole seconds, as in 45s")
    if proxy.termination_drain < 0:
        yield field(merged, "terminationDrainDuration", "negative", "write seconds, as in 5s")


def ports(merged: Merged, environment: Environment, proxy: Envoy, status: Status) -> Iterator[Problem]:
    """Two listeners of ours on one port: found here, and not when the second one fails to bind."""
    taken = {proxy.admin_port: "proxyAdminPort", 15001: "outbound traffic", 15006: "inbound traffic"}
    if status.port in taken:
        yield field(merged, "statusPort", f"taken by {taken[status.port]}", "write another port")
    taken[status.port] = "statusPort"
    for setting in (
        settings.HEALTH_PORT,
        settings.PROMETHEUS_PORT,
        settings.SECURE_PORT,
        settings.SECURE_MERGED_PORT,
    ):
        port = environment.get(setting)
        if port in taken:
            value = environment.value(setting)
            why = f"taken by {taken[port]}"
            yield Problem(
                where=str(value.origin),
                key=setting.name,
                value=value.text,
                why=why,
                remedy="write another port",
            )
        elif port:
            taken[port] = setting.name


def notes(environment: Environment, merged: Merged) -> Iterator[str]:
    for name in environment.names():
        value = environment.values(name)[0]
        reason = UNUSED.get(name, "")
        if reason and value.origin.kind != "environment":
            yield f"{value.origin}: {name} has no effect here: {reason}"
    for flag in sections.Flags(environment).unused:
        yield f"{environment.value(settings.AGENT_FLAGS).origin}: --{flag} has no effect here"
    discovery = merged.origins["defaultConfig.discoveryAddress"][0]
    if not environment.is_set(settings.CA_ADDR) and discovery.text != str(istiod(environment, XDS_PORT)):
        yield f"{discovery.origin}: the CA is asked at {discovery.text} too; CA_ADDR would say otherwise"
    drain = merged.origins["defaultConfig.terminationDrainDuration"][0]
    if seconds(merged.proxy_config["terminationDrainDuration"]) > sections.LONGEST_DRAIN:
        granted = f"{sections.LONGEST_DRAIN:g}s"
        yield f"{drain.origin}: terminationDrainDuration={drain.text}: a stop grants {granted} at most"
    yield from _router(environment)
    mine, pod = environment.text("ISTIO_NAMESPACE"), environment.text("POD_NAMESPACE")
    if mine and pod and mine != pod:
        where = environment.values("POD_NAMESPACE")[0].origin
        yield f"{where}: POD_NAMESPACE={pod} does not count, ISTIO_NAMESPACE={mine} does"


def duplicates(ips: Iterable[str]) -> Iterator[str]:
    for ip in ips:
        yield f"another machine of this network has {ip}, too: it is not registered; give one of them another"


def _router(environment: Environment) -> Iterator[str]:
    """What is set and means something to a sidecar only: one note, for ``entry configure`` writes some."""
    if environment.get(settings.ROLE) != "router":
        return
    for_sidecars = (*CAPTURE, settings.DNS_CAPTURE.name, settings.SCRAPE.name)
    if set_names := [name for name in for_sidecars if environment.values(name)]:
        where = environment.value(settings.ROLE).origin
        yield f"{where}: a router's own traffic is not captured: no effect of {', '.join(set_names)}"
