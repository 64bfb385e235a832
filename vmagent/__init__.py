"""vmagent joins a virtual machine to an Istio mesh. ARCHITECTURE.md draws the house."""

__version__ = "0.1.0"
