"""Whether the application on this VM can serve, as its readiness probe tells. Knows nothing of xDS, which
reports it."""
