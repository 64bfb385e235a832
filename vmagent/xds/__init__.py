"""What the mesh says: one ADS stream to the control plane, one to Envoy, and the state between them."""
