#!/bin/bash
# controlplane.sh PROJECT: the lab's control plane as a service, run from the clone at PROJECT, with the resources that
# are there before the story begins; and `vmagent`, for `vmagent entry configure`.
set -euo pipefail
project=$1
here=$project/lab/provision
python=$project/.venv/bin/python

# What make setup installs stays with the clone; on a machine that only sees it, it must be there already.
"$here/packages.sh" python3
if ! (cd "$project" && "$python" -c 'import grpc, lab.controlplane') 2>/dev/null; then
  "$here/packages.sh" make
  make -C "$project" setup
fi

cat >/usr/local/bin/vmagent <<SCRIPT
#!/bin/sh
PYTHONPATH=$project exec $python -m vmagent "\$@"
SCRIPT
chmod 755 /usr/local/bin/vmagent

install -d /etc/istiod/resources /var/lib/istiod
cp "$project"/lab/scenarios/01-vm-joins-the-mesh/cluster/*.yaml /etc/istiod/resources
cat >/etc/systemd/system/lab-controlplane.service <<UNIT
[Unit]
Description=Control plane of the lab
After=network-online.target
Wants=network-online.target

[Service]
WorkingDirectory=$project
Environment=PILOT_WORKLOAD_ENTRY_GRACE_PERIOD=5s
ExecStart=$python -m lab.controlplane --resources /etc/istiod/resources --state /var/lib/istiod
Restart=on-failure

[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --quiet lab-controlplane
systemctl restart lab-controlplane

# It makes the keys of a new CA first.
for _ in {1..300}; do
  if curl --silent --output /dev/null http://127.0.0.1:8001/; then
    exit 0
  fi
  sleep 0.1
done
echo "controlplane.sh: 127.0.0.1:8001 does not answer; journalctl -u lab-controlplane says why" >&2
exit 1
