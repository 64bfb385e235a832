"""The control plane's page: what it knows, for people with a browser. HTML from the server and nothing else.

No script, no asset, nothing to build: a table is readable with curl, too. Nothing can be changed there and
no secret is told.
"""

from lab.controlplane.page.page import Page

__all__ = ["Page"]
