"""What Envoy accepted last, on disk: so that a machine comes back also where its control plane does not."""
