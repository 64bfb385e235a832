"""Hands the credential to Envoy by its Secret Discovery Service. Knows nothing of CAs, tokens or the mesh."""
