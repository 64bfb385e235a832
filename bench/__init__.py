"""Measurements of the agent beside the figures of Istio's own; `make bench` prints them."""
