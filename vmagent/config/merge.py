"""The one ProxyConfig that counts: defaults, mesh file, PROXY_CONFIG, then what single variables say.

Owns:      the order of those layers and the origin of each field of the result.
Does not:  parse YAML (meshfile.py) or judge fields (schema.py).
Surprise:  setting PILOT_ADDRESS or PROXY_CONFIG loses nothing else, as it does with Istio's start script.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from vmagent.config import settings
from vmagent.config.layers import Environment, Layer
from vmagent.config.meshfile import MeshFile
from vmagent.config.model import Address, Json, Origin, Value
from vmagent.config.proxyconfig import DEFAULTS, overlay

XDS_PORT = 15012
"""Where istiod serves xDS and its CA over TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    proxy_config: Mapping[str, Json]
    origins: Mapping[str, tuple[Value, ...]]
    """``defaultConfig.KEY`` and ``defaultConfig.proxyMetadata.NAME``: the value that counts first."""

    @property
    def metadata(self) -> dict[str, str]:
        """proxyMetadata."""
        found = self.proxy_config.get("proxyMetadata")
        return {key: str(value) for key, value in found.items()} if isinstance(found, dict) else {}

    def text(self, key: str) -> str:
        value = self.proxy_config.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        value = self.proxy_config.get(key)
        return value if isinstance(value, int) else 0

    def layer(self) -> Layer:
        """proxyMetadata as a layer of the environment."""
        return {
            key: Value(text=text, origin=self.origins[f"defaultConfig.proxyMetadata.{key}"][0].origin)
            for key, text in self.metadata.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    fields: Mapping[str, Json]
    origins: Mapping[str, Origin]
    otherwise: Origin

    def origin(self, key: str) -> Origin:
        return self.origins.get(key, self.otherwise)


def merge(mesh: MeshFile, mesh_path: str, inline: MeshFile, environment: Environment) -> Merged:
    """``inline`` is PROXY_CONFIG, parsed; ``environment`` has every layer but proxyMetadata."""
    said = environment.value(settings.PROXY_CONFIG).origin
    sources = (
        _Source(fields=_defaults(environment), origins={}, otherwise=Origin(kind="default", where="default")),
        _Source(
            fields=mesh.proxy_config,
            origins={
                key: Origin(kind="mesh", where=f"{mesh_path}:{line}") for key, line in mesh.lines.items()
            },
            otherwise=Origin(kind="mesh", where=mesh_path),
        ),
        _Source(
            fields=inline.proxy_config,
            origins={},
            otherwise=Origin(kind=said.kind, where=f"{said.where} (PROXY_CONFIG)"),
        ),
        _single(mesh, inline, environment),
    )
    merged: dict[str, Json] = {}
    origins: dict[str, tuple[Value, ...]] = {}
    for source in sources:
        merged = overlay(merged, source.fields)
        for key, value in source.fields.items():
            if key == "proxyMetadata" and isinstance(value, dict):
                for name, text in value.items():
                    where = source.origin(f"{key}.{name}")
                    _note(origins, f"defaultConfig.{key}.{name}", text, where)
            else:
                _note(origins, f"defaultConfig.{key}", value, source.origin(key))
    return Merged(proxy_config=merged, origins=origins)


def _note(origins: dict[str, tuple[Value, ...]], key: str, value: Json, origin: Origin) -> None:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    origins[key] = (Value(text=text, origin=origin), *origins.get(key, ()))


def _defaults(environment: Environment) -> dict[str, Json]:
    fields = dict(DEFAULTS)
    fields["discoveryAddress"] = str(istiod(environment, XDS_PORT))
    return fields


def istiod(environment: Environment, port: int) -> Address:
    """The address that Istio gives its control plane."""
    return Address(host=f"istiod.{environment.get(settings.SYSTEM_NAMESPACE)}.svc", port=port)


def _single(mesh: MeshFile, inline: MeshFile, environment: Environment) -> _Source:
    """Variables that set one field each; ISTIO_SERVICE and ISTIO_CPU_LIMIT only where no document does."""
    fields: dict[str, Json] = {}
    origins: dict[str, Origin] = {}
    pilot, port = environment.get(settings.PILOT_ADDRESS), environment.get(settings.PILOT_PORT)
    if pilot is not None:
        fields["discoveryAddress"] = str(pilot)
        origins["discoveryAddress"] = environment.value(settings.PILOT_ADDRESS).origin
    elif port is not None:
        fields["discoveryAddress"] = str(istiod(environment, port))
        origins["discoveryAddress"] = environment.value(settings.PILOT_PORT).origin
    if policy := environment.get(settings.CP_AUTH):
        fields["controlPlaneAuthPolicy"] = policy
        origins["controlPlaneAuthPolicy"] = environment.value(settings.CP_AUTH).origin
    named = {"serviceCluster", "tracingServiceName"} & {*mesh.proxy_config, *inline.proxy_config}
    if (service := environment.get(settings.ISTIO_SERVICE)) and not named:
        fields["serviceCluster"] = service
        origins["serviceCluster"] = environment.value(settings.ISTIO_SERVICE).origin
    limit = environment.get(settings.CPU_LIMIT)
    if limit and "concurrency" not in {*mesh.proxy_config, *inline.proxy_config}:
        fields["concurrency"] = limit
        origins["concurrency"] = environment.value(settings.CPU_LIMIT).origin
    return _Source(fields=fields, origins=origins, otherwise=Origin(kind="derived", where="derived"))
