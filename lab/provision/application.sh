#!/bin/bash
# The documents' nginx: greets with the machine's name, and writes down whose certificate the proxy saw.
set -euo pipefail

cat >/etc/nginx/conf.d/lab.conf <<'CONF'
log_format lab escape=none '$request\tstatus=$status\tpeer=$remote_addr\thost=$http_host\tagent=$http_user_agent'
                           '\txfcc=$http_x_forwarded_client_cert';
CONF
cat >/etc/nginx/sites-available/default <<CONF
server {
  listen 80 default_server;
  access_log /var/log/nginx/access.log lab;
  default_type text/plain;
  location / {
    return 200 "Welcome to nginx on $(hostname)!\\n";
  }
}
CONF
systemctl enable --quiet nginx
systemctl restart nginx
