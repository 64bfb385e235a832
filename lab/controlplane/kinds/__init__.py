"""The Istio and Kubernetes kinds this control plane knows, one module per family, each a frozen value."""
