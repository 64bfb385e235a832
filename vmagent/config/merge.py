"""The one ProxyConfig that counts: defaults, mesh file, PROXY_CONFIG, the annotation, then what single
variables and annotations say.

Owns:      the order of those layers and the origin of each field of the result.
Does not:  parse YAML (meshfile.py) or judge fields (schema.py).
Surprise:  setting PILOT_ADDRESS or PROXY_CONFIG loses nothing else, as it does with Istio's start script.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from vmagent.config import podfiles, settings, syntax
from vmagent.config.layers import Environment, Layer
from vmagent.config.meshfile import MeshFile
from vmagent.config.model import Address, Json, Origin, Value
from vmagent.config.podfiles import PodFile
from vmagent.config.problem import Problem
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What says ProxyConfig, parsed, of the lowest rank first."""

    mesh: MeshFile
    mesh_path: str
    inline: MeshFile
    """PROXY_CONFIG."""
    annotated: MeshFile
    """The annotation ``proxy.istio.io/config``."""
    annotations: PodFile

    @property
    def keys(self) -> set[str]:
        return {key for document in self._all for key in document.proxy_config}

    @property
    def problems(self) -> list[Problem]:
        return [problem for document in self._all for problem in document.problems]

    @property
    def unknown(self) -> list[Problem]:
        return [problem for document in self._all for problem in document.unknown]

    @property
    def _all(self) -> tuple[MeshFile, ...]:
        return self.mesh, self.inline, self.annotated


def merge(documents: Documents, environment: Environment) -> Merged:
    """``environment`` has every layer but proxyMetadata."""
    mesh, mesh_path, inline = documents.mesh, documents.mesh_path, documents.inline
    said, pod = environment.value(settings.PROXY_CONFIG).origin, documents.annotations
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
        _Source(
            fields=documents.annotated.proxy_config,
            origins={},
            otherwise=Origin(kind="annotation", where=pod.where(podfiles.PROXY_CONFIG)),
        ),
        _single(documents.keys, environment),
        _annotated(pod),
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


def _single(said: set[str], environment: Environment) -> _Source:
    """Variables that set one field each; ISTIO_SERVICE and ISTIO_CPU_LIMIT only where no document has
    ``said`` it.
    """
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
    named = {"serviceCluster", "tracingServiceName"} & said
    if (service := environment.get(settings.ISTIO_SERVICE)) and not named:
        fields["serviceCluster"] = service
        origins["serviceCluster"] = environment.value(settings.ISTIO_SERVICE).origin
    limit = environment.get(settings.CPU_LIMIT)
    if limit and "concurrency" not in said:
        fields["concurrency"] = limit
        origins["concurrency"] = environment.value(settings.CPU_LIMIT).origin
    return _Source(fields=fields, origins=origins, otherwise=Origin(kind="derived", where="derived"))


def _annotated(pod: PodFile) -> _Source:
    """Annotations that set one field each. Bad values are left out: ``annotation_problems`` names them."""
    fields: dict[str, Json] = {}
    for key, field, parse in _ANNOTATIONS:
        if text := pod.values.get(key):
            try:
                fields[field] = parse(text)
            except ValueError:
                continue
    where = {field: Origin(kind="annotation", where=pod.where(key)) for key, field, _ in _ANNOTATIONS}
    return _Source(fields=fields, origins=where, otherwise=Origin(kind="derived", where="derived"))


def annotation_problems(pod: PodFile) -> Iterator[Problem]:
    for key, _, parse in _ANNOTATIONS:
        if text := pod.values.get(key):
            try:
                parse(text)
            except ValueError as remedy:
                why = "not a value for this annotation"
                yield Problem(where=pod.where(key), key=key, value=text, why=why, remedy=str(remedy))


def _address(text: str) -> Json:
    return str(syntax.address(text))


def _port(text: str) -> Json:
    return syntax.port(text)


_ANNOTATIONS: Final[tuple[tuple[str, str, Callable[[str], Json]], ...]] = (
    (podfiles.DISCOVERY, "discoveryAddress", _address),
    (podfiles.STATUS_PORT, "statusPort", _port),
)
"""Annotation, field, parser."""
