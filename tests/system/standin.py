"""A package in the place of Istio's own: its paths, unit, user and chains, and an agent that does nothing."""

import shutil
import textwrap
from pathlib import Path

FILES = {
    "DEBIAN/control": """
        Package: istio-sidecar
        Version: 1.29.6
        Architecture: all
        Maintainer: nobody <nobody@example.com>
        Depends: iproute2, iptables, sudo, hostname
        Description: stands in for Istio's own package
        """,
    "DEBIAN/conffiles": """
        /var/lib/istio/envoy/sidecar.env
        """,
    "DEBIAN/postinst": """
        #!/bin/sh
        set -e
        if ! getent passwd istio-proxy >/dev/null; then
            useradd --system --user-group --home-dir /var/lib/istio istio-proxy
        fi
        [ -e /etc/istio ] || ln -s /var/lib/istio /etc/istio
        mkdir -p /var/lib/istio/envoy /var/lib/istio/proxy /var/lib/istio/config /var/log/istio /etc/certs
        touch /var/lib/istio/config/mesh
        chown istio-proxy:istio-proxy /etc/certs /var/lib/istio/envoy /var/lib/istio/config \\
            /var/lib/istio/config/mesh /var/lib/istio/proxy /var/log/istio
        chmod 2755 /usr/local/bin/envoy /usr/local/bin/pilot-agent
        """,
    "lib/systemd/system/istio.service": """
        [Unit]
        Description=istio-sidecar: The Istio sidecar
        StartLimitIntervalSec=0
        [Service]
        ExecStartPre=+/bin/mkdir -p /var/run/secrets
        ExecStart=/usr/local/bin/istio-start.sh
        ExecStopPost=/usr/local/bin/istio-start.sh clean
        Restart=always
        RestartSec=10
        KillMode=mixed
        TimeoutStopSec=30s
        [Install]
        WantedBy=multi-user.target
        """,
    "usr/local/bin/istio-start.sh": """
        #!/bin/bash
        set -e
        if [ "$1" = clean ]; then exec /usr/local/bin/pilot-agent istio-iptables --cleanup-only; fi
        /usr/local/bin/pilot-agent istio-iptables
        exec sudo -E -u istio-proxy -s /bin/bash -c 'exec /usr/local/bin/pilot-agent proxy'
        """,
    # Its cleaning is imperfect, as in some releases: what it wrote into the raw table stays.
    "usr/local/bin/pilot-agent": """
        #!/bin/bash
        case "$*" in
        proxy) exec /usr/local/bin/envoy ;;
        *--cleanup-only*) /usr/sbin/iptables-restore --noflush <<END
        *nat
        -D PREROUTING -p tcp -j ISTIO_INBOUND
        -D OUTPUT -j ISTIO_OUTPUT
        -F ISTIO_INBOUND
        -F ISTIO_OUTPUT
        -F ISTIO_REDIRECT
        -F ISTIO_IN_REDIRECT
        -X ISTIO_INBOUND
        -X ISTIO_OUTPUT
        -X ISTIO_REDIRECT
        -X ISTIO_IN_REDIRECT
        COMMIT
        END
        ;;
        *) /usr/sbin/iptables-restore --noflush <<END
        *nat
        -N ISTIO_INBOUND
        -N ISTIO_OUTPUT
        -N ISTIO_REDIRECT
        -N ISTIO_IN_REDIRECT
        -A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
        -A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
        -A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
        -A ISTIO_INBOUND -p tcp --dport 22 -j RETURN
        -A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
        -A ISTIO_OUTPUT -m owner --uid-owner istio-proxy -j RETURN
        -A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
        -A ISTIO_OUTPUT -j ISTIO_REDIRECT
        -A PREROUTING -p tcp -j ISTIO_INBOUND
        -A OUTPUT -j ISTIO_OUTPUT
        COMMIT
        *raw
        -N ISTIO_OUTPUT_DNS
        -A ISTIO_OUTPUT_DNS -p udp --dport 53 -m owner --uid-owner istio-proxy -j CT --zone 1
        -A OUTPUT -p udp -m udp --dport 53 -j ISTIO_OUTPUT_DNS
        COMMIT
        END
        ;;
        esac
        """,
    "usr/local/bin/envoy": """
        #!/bin/sh
        exec tail -f /dev/null
        """,
    "var/lib/istio/envoy/sidecar.env": """
        # ISTIO_SERVICE_CIDR=*
        """,
}


def lay_out(tree: Path) -> None:
    """For dpkg-deb --build."""
    shutil.rmtree(tree, ignore_errors=True)
    for name, text in FILES.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        runs = name.startswith("usr/") or name.endswith("postinst")
        path.chmod(0o755 if runs else 0o644)
