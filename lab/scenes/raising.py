"""The hosts of a story and the mesh around them, on a lab that stands.

Owns:      making hosts what a scene says they are, whatever they were for the last one; applying and deleting
           its resources.
Does not:  know any scene, or look whether what must be seen is there (looking.py).
Surprise:  what a scene says nothing of stays as it is: scenes played one after the other share a control
           plane, agents and servers, and a lab that was raised for one has only what that one needs.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from lab.hosts import services
from lab.hosts.cluster import Cluster, Refused, kind_of
from lab.hosts.errors import LabError
from lab.hosts.host import Host
from lab.hosts.lab import Lab
from lab.hosts.names import WORLD_NAMES
from lab.hosts.services import Service
from lab.hosts.world import ROOT
from lab.scenes.joining import join
from lab.scenes.scene import STORY, Joining, Part, Phase, Scene
from lab.scenes.serving import Certificates, start_server
from lab.scenes.telling import told

GRACE: Final = "2s"
"""How long the entry of a VM that left stays: the next scene is not to see it."""

MESH: Final = yaml.safe_load((STORY / "cluster" / "mesh.yaml").read_text())
FIRST: Final = (STORY / "namespace.yaml",)
MARK: Final = "# scene"
PROGRAMS: Final = ROOT / "lab" / "hosts"
NOT_FOUND: Final = 404

Json = dict[str, Any]


class Site:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.istiod = lab.host("istiod")
        self.cluster = Cluster(self.istiod)
        self.services: dict[str, list[Service]] = {}
        """By what they are: ``agent@vm``, ``web:80@docker``."""
        self._joined: dict[str, Joining] = {}
        self._names: dict[str, str] = {}
        self._certificates = Certificates()

    def begin(self) -> None:
        """The mesh is there, and the world's own authority; nobody has joined."""
        self.services["istiod"] = [
            services.start_control_plane(
                self.istiod,
                resources=STORY / "cluster",
                env={"PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": GRACE, "PILOT_DEBOUNCE_AFTER": "20ms"},
            )
        ]
        self.apply(FIRST)
        self._certificates.install_client(self.lab.host("client"))

    # --- a scene --------------------------------------------------------------------------------------------

    def prepare(self, scene: Scene) -> None:
        self.know(scene.names)
        self.apply(scene.before)
        for part in scene.parts:
            self.be(part, tuple(scene.names))

    def enter(self, phase: Phase) -> None:
        if phase.mesh:
            self.configure(phase.mesh)
        self.delete(phase.delete)
        self.apply(phase.apply)

    def clear(self, scene: Scene) -> None:
        """Its resources are gone, and what it changed of the mesh's configuration is as before."""
        files = [path for phase in scene.phases for path in phase.apply]
        self.delete(dict.fromkeys([*reversed(files), *reversed(scene.before)]))
        if any(phase.mesh for phase in scene.phases):
            self.configure({})
        for part in scene.parts:
            if part.hosts:
                self.lab.host(part.host).run(["sed", "-i", f"/{MARK}$/d", "/etc/hosts"])

    # --- resources ------------------------------------------------------------------------------------------

    def apply(self, files: Iterable[Path]) -> None:
        """Returns when the proxies have what follows from it, as ``delete`` and ``configure`` do."""
        with told(self.istiod):
            for document in documents(files):
                self.cluster.apply(document)

    def delete(self, files: Iterable[Path]) -> None:
        """What is not there need not go."""
        with told(self.istiod):
            for document in documents(files):
                metadata = document["metadata"]
                kind, namespace = kind_of(document["kind"]), metadata.get("namespace") or "default"
                try:
                    self.cluster.delete(kind, namespace, metadata["name"])
                except Refused as why:
                    if why.status != NOT_FOUND:
                        raise

    def configure(self, keys: Mapping[str, Any]) -> None:
        """The mesh's configuration, with these keys over those of the story."""
        text = yaml.safe_load(MESH["data"]["mesh"])
        data = {**MESH["data"], "mesh": yaml.safe_dump({**text, **keys}, sort_keys=False)}
        with told(self.istiod):
            self.cluster.apply({**MESH, "data": data})

    # --- the world ------------------------------------------------------------------------------------------

    def know(self, names: Mapping[str, str]) -> None:
        """The world's DNS knows these names, too, once this returns."""
        new = {name: address for name, address in names.items() if self._names.get(name) != address}
        if not new:
            return
        self._names.update(new)
        number = len(self._names)
        text = "".join(f"{address} {name}\n" for name, address in new.items())
        # Moved there when it is whole and may be read: dnsmasq looks at once, and once.
        self.istiod.write("/etc/new-names", text)
        self.istiod.run(["mv", "/etc/new-names", f"{WORLD_NAMES}/{number}"])
        name, address = next(iter(new.items()))
        asked = f"dig +short +time=1 @{self.istiod.address} {name} | grep -qx {address}"
        known = f"until {asked}; do sleep 0.05; done"
        self.istiod.run(["timeout", "10", "bash", "-c", known])

    # --- hosts ----------------------------------------------------------------------------------------------

    def be(self, part: Part, names: tuple[str, ...]) -> None:
        """``names``: for whom its servers with TLS have a certificate."""
        host = self.lab.host(part.host)
        for key, value in part.sysctl.items():
            host.run(["sysctl", "-qw", f"{key}={value}"])
        if part.hosts:
            host.append("/etc/hosts", "".join(f"{line} {MARK}\n" for line in part.hosts))
        for program in part.brings:
            host.copy_in(PROGRAMS / program, f"{services.PROGRAMS}/{program}")
        if part.serves is not None:
            self._serve(host, part, names)
        if part.leaves or part.joins:
            self._member(host, part.joins)

    def _serve(self, host: Host, part: Part, names: tuple[str, ...]) -> None:
        wanted = {f"{each.kind}:{each.where}@{host.name}": each for each in part.serves or ()}
        for key in self._running(host):
            # One with TLS has its certificate for the names of a scene.
            if key not in wanted or not key.startswith("web:"):
                self.stop(key)
        for key, server in wanted.items():
            if key not in self.services:
                self.services[key] = [start_server(host, server, self._certificates, names)]

    def _running(self, host: Host) -> Iterator[str]:
        for key in list(self.services):
            kind, _, where = key.partition("@")
            if where == host.name and kind != "agent":
                yield key

    def _member(self, host: Host, joining: Joining | None) -> None:
        if self._joined.get(host.name) == joining:
            return
        if host.name in self._joined:
            self.stop(f"agent@{host.name}")
            del self._joined[host.name]
        if joining is not None:
            if joining.registers:
                self.apply((joining.group,))
            self.services[f"agent@{host.name}"] = join(host, self.istiod, joining)
            self._joined[host.name] = joining

    def stop(self, key: str) -> None:
        """The last that was started first, as systemd orders them."""
        for service in reversed(self.services.pop(key)):
            service.stop()


def documents(files: Iterable[Path]) -> Iterator[Json]:
    for path in files:
        for document in yaml.safe_load_all(path.read_text()):
            if not isinstance(document, dict) or "metadata" not in document:
                raise LabError(f"{path}: {document!r} is no resource", hint="write kind and metadata.name")
            yield document
