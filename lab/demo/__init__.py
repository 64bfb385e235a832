"""The documents' story, played on a lab and checked step by step."""

from lab.demo.play import play

__all__ = ["play"]
