"""The mesh configuration that counts now: what the settings say, and ConfigMap istio over it."""

import logging

from lab.controlplane.builtins import MESH_CONFIG
from lab.controlplane.kinds.document import BadDocument
from lab.controlplane.kinds.kubernetes import ConfigMap
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import World
from lab.controlplane.settings import Settings

log = logging.getLogger("config")


class MeshConfig:
    def __init__(self, settings: Settings) -> None:
        self._read: ConfigMap | None = None
        self._built_in = self._current = Mesh(
            trust_domain=settings.trust_domain,
            cluster_id=settings.cluster_id,
            health_checks=settings.healthchecks,
            allocation=settings.allocation,
            dual_stack=settings.dual_stack,
            ip_autoallocate=settings.ip_autoallocate,
            istio_filters=settings.istio_filters,
        )

    def current(self, world: World) -> Mesh:
        """One that cannot be read changes nothing, and is complained about once."""
        config = world.get(ConfigMap, *MESH_CONFIG[1:])
        if config is self._read:
            return self._current
        self._read = config
        try:
            self._current = self._built_in if config is None else self._built_in.configured(config)
        except BadDocument as why:
            log.error("%s; keeping the last good mesh configuration", why)
        return self._current
