"""What this Envoy can load: Istio's own extensions are taken out, or refused, where it lacks them."""

from vmagent.xds.compatibility.adapting import Compatibility, Refusal

__all__ = ["Compatibility", "Refusal"]
