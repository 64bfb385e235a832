"""DNS on the VM: names of the mesh from the control plane's table, everything else from the host's
resolvers.
"""
