"""Who this VM is: its SPIFFE name, the token that introduces it, the certificate that proves it.

Knows nothing of Envoy or xDS.
"""
