"""Everything one proxy is told, as one value: world + proxy + mesh -> resources by type and name. Pure."""

from lab.controlplane.snapshot.build import Resources, Snapshot, Versions, build, digest

__all__ = ["Resources", "Snapshot", "Versions", "build", "digest"]
