"""One local Envoy: its bootstrap, command line and life. Knows sockets and ports, not who serves them."""
