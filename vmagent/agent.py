"""Composition: the only module that knows every part.

Owns:      which parts there are, in which order they start and stop, who serves at which port.
Does not:  do the work of any part; tell one of another's news (joints.py); map settings (wiring.py); read the
           files (daemon.py waits for them).
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from vmagent import reporting, wiring
from vmagent.config.model import Config
from vmagent.dns.server import DnsServer
from vmagent.envoy import rights
from vmagent.envoy.bootstrap import EPOCH
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.output import Output
from vmagent.envoy.supervisor import Supervisor
from vmagent.errors import VmagentError
from vmagent.farewell import Farewell, reporter
from vmagent.health.verdict import Verdict
from vmagent.health.watch import HealthWatch
from vmagent.joints import Joints
from vmagent.measured import Measures, Meter
from vmagent.moving import Moving, Place
from vmagent.proof import Proof
from vmagent.runtime import logs
from vmagent.runtime.clock import Clock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Part, Tasks, run_parts
from vmagent.runtime.readiness import Readiness
from vmagent.runtime.systemd import OUTSIDE, Systemd
from vmagent.runtime.watchdog import Pulse
from vmagent.sds.server import SdsServer
from vmagent.sockets import EnvoySockets
from vmagent.status.endpoint import Endpoint
from vmagent.status.handler import Actions, Service
from vmagent.status.scrape import Scraper
from vmagent.trouble import Trouble
from vmagent.xds.housekeeping import Housekeeping
from vmagent.xds.hub import Hub
from vmagent.xds.lastgood.part import LastGood
from vmagent.xds.relay import Relay
from vmagent.xds.shelf import Shelf
from vmagent.xds.upstream import Upstream

log = logging.getLogger("agent")


class Agent:
    """Everything between a configuration and a mesh. Binds the ports it serves at once; ``run`` does the
    rest.

    ``remarks`` is what is odd about the configuration, for the status; ``place`` finds the configuration for
    where the machine is by then (None: it stays where it is); ``renew`` asks for an agent that starts anew in
    this one's place. Raises Misconfigured when a port is taken, with nothing left open.
    """

    def __init__(
        self,
        config: Config,
        gates: Readiness,
        *,
        run_dir: Path,
        clock: Clock,
        remarks: str = "",
        place: Place | None = None,
        renew: Callable[[], None] = lambda: None,
        systemd: Systemd = OUTSIDE,
    ) -> None:
        self._config = config
        self._run_dir = run_dir
        self._gates = gates
        self._clock = clock
        self._systemd = systemd
        self._place = place
        self._renew = renew
        self._health: HealthWatch | None = None
        self._started = clock.now()
        self._verdicts: Latest[Verdict] = Latest()
        self._dns_serves: Latest[bool] = Latest()
        self._trouble = Trouble(config, gates, remarks=remarks, heard=self._heard)
        self._news = asyncio.Event()
        gates.changed = self._news.set
        self._proof = Proof(config, gates, clock=clock)
        self._hub = Hub(name_tables=config.dns.enabled)
        self._upstream = self._make_upstream()
        self._last_good = LastGood(wiring.last_good(config), self._hub, self._proof.credentials, clock=clock)
        self._output = Output(logs.pass_on)
        self._envoy = Supervisor(self._envoy_config, clock=clock, output=self._output)
        self._farewell = Farewell(reporter(self._hub, self._verdicts), run_dir=run_dir)
        self._dns = self._make_dns() if config.dns.enabled else None
        self._meter = self._make_meter()
        try:
            self._parts = self._make_parts()
        except VmagentError:
            if self._dns:
                self._dns.close()
            raise
        if self._dns:  # not before all ports are ours: what systemd has would be in the way of the next try
            systemd.keep(self._dns.name, self._dns.descriptors)

    def _make_upstream(self) -> Upstream:
        return Upstream(
            wiring.upstream(self._config),
            self._hub,
            wiring.xds_node(self._config),
            authenticate=self._proof.authenticate,
            trouble=self._trouble.upstream,
            clock=self._clock,
        )

    @property
    def _envoy_config(self) -> EnvoyConfig:
        lowest = rights.lowest_port() if self._config.role == "router" else 1
        return wiring.envoy(self._config, self._run_dir, lowest_port=lowest)

    def _make_dns(self) -> DnsServer:
        dns = DnsServer(
            wiring.dns(self._config),
            self._hub.tables,
            clock=self._clock,
            serving=lambda: self._dns_serves.publish(True),
        )
        dns.bind([os.dup(fd) for name, fd in self._systemd.inherited if name == dns.name])
        return dns

    def _make_meter(self) -> Meter:
        measures = Measures(
            gates=self._gates,
            hub=self._hub,
            identity=lambda: self._proof.keeper.status,
            envoy=self._envoy.state,
            verdicts=self._verdicts,
            dns=self._dns,
            secrets=self._proof.secrets,
            last_known_good_age=lambda: self._last_good.age,
        )
        return Meter(measures, clock=self._clock)

    def _service(self) -> Service:
        scraper = Scraper(wiring.sources(self._config), self._meter.metrics, self._clock.monotonic)
        return Service(
            waiting=lambda: self._gates.waiting,
            remarks=lambda: reporting.remarks(self.known()),
            scraper=scraper,
            private=self._config.status.metrics_localhost_only,
            actions=Actions(names=self._meter.names),
        )

    def _make_parts(self) -> list[Part]:
        """In the order of the data: each feeds the next. They drain the other way round."""
        config, clock = self._config, self._clock
        sds = SdsServer(self._proof.credentials, self._proof.secrets, clock=clock)
        relay = Relay(self._hub, config.envoy.xds_socket, epoch=EPOCH)
        parts: list[Part] = [Endpoint(config.status.port, self._service())]
        if self._dns:
            parts.append(self._dns)
        parts += [
            *self._proof.parts,
            self._upstream,
            EnvoySockets(
                {
                    config.envoy.xds_socket: relay.handler(),
                    config.credentials.sds_socket: sds.handler(),
                },
                trouble=self._trouble.sockets,
            ),
            Housekeeping(self._hub, Shelf(config.envoy.config_dir), clock=clock),
            self._last_good,
            self._envoy,
            self._farewell,
        ]
        if config.probe:
            probe = wiring.probe(config.probe)
            self._health = HealthWatch(probe, self._verdicts, envoy_ready=self._envoy_trouble, clock=clock)
            parts.append(self._health)
        if self._place:
            parts.append(Moving(config, self._place, self._on_moved, clock=clock))
        return parts

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set and everything has drained, or a part crashes."""
        async with Tasks() as glue:
            document = reporting.publish(self.known(), self._run_dir, self._meter.look, self._systemd.tell)
            joints = [*self._joints().start(glue), glue.start("status-document", document)]
            await run_parts(self._parts, stop)
            for joint in joints:
                joint.cancel()
        if not self._farewell.stays:
            self._systemd.keep(DnsServer.name, ())

    @property
    def pulses(self) -> tuple[Pulse, ...]:
        """Of the threads without which the agent is only half alive."""
        return (self._output.pulse, *([self._dns.pulse] if self._dns else []))

    @property
    def sockets(self) -> tuple[tuple[str, int], ...]:
        """Names and descriptors of those in which a successor finds what came meanwhile."""
        return tuple((self._dns.name, number) for number in self._dns.descriptors) if self._dns else ()

    def stay(self, stays: bool) -> None:
        """Whether the stop that follows is for a successor: then Envoy goes on."""
        self._farewell.stays = self._envoy.stays = stays

    async def end(self) -> None:
        """For an Envoy that ``run`` has left to a successor that is not to come after all."""
        await self._farewell.drain()
        await self._envoy.drain()

    def reopen_logs(self) -> None:
        """Files that Envoy writes by itself. Harmless at any time."""
        self._envoy.reopen_logs()

    # --- what parts ask each other --------------------------------------------------------------------------

    def _joints(self) -> Joints:
        return Joints(
            gates=self._gates,
            systemd=self._systemd,
            proof=self._proof,
            hub=self._hub,
            upstream=self._upstream,
            envoy=self._envoy.state,
            verdicts=self._verdicts,
            dns_serves=self._dns_serves if self._dns else None,
            news=self._news,
        )

    def _on_moved(self, config: Config) -> None:
        """Another address: to the control plane another machine, to everybody here the same one."""
        self._config = config
        self._upstream.become(wiring.xds_node(config))
        if self._envoy.follow(self._envoy_config):
            log.warning("the machine's addresses are of another family: Envoy gets a successor")
            self._renew()
        if self._health and config.probe:
            self._health.retarget(wiring.probe(config.probe))

    def _heard(self, problem: VmagentError | None) -> None:
        self._meter.heard(problem)
        if problem:
            self._last_good.missed()

    def _envoy_trouble(self) -> str | None:
        state = self._envoy.state.value
        return (state.reason or None) if state else "Envoy has not been started"

    def known(self) -> reporting.Known:
        """Where what the agent says about itself comes from."""
        return reporting.Known(
            config=lambda: self._config,
            started=self._started,
            news=self._news,
            gates=self._gates,
            proof=self._proof,
            hub=self._hub,
            last_good=self._last_good,
            verdicts=self._verdicts,
            trouble=self._trouble.now,
            envoy_trouble=self._envoy_trouble,
        )
