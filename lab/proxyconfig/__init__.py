"""``lab routes``, ``clusters``, ``listeners``, ``endpoints``: what a proxy really has, as
``istioctl proxy-config`` shows it.

The tables are functions of the proxy's own dump; whether it comes from a host or from a file is all one.
"""
