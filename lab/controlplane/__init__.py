"""An embedded control plane: Istio resources from YAML in, what istiod would tell a sidecar out."""
