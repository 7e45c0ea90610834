#!/usr/bin/env bash
# VictoriaMetrics takes a native histogram with custom buckets by remote write 1.0 (204), and keeps
# none of its edges: all buckets become one series with vmrange="NaN...+Inf".
#
# A Prometheus 3 that converts classic histograms (convert_classic_histograms_to_nhcb) and writes
# them on so loses every latency there, while an exponential histogram in the same message is kept
# with its ranges, and nothing says so. Whoever reads buckets has to refuse such a range.
#
# Package: github.com/VictoriaMetrics/VictoriaMetrics v1.151.0, app/victoria-metrics, by Go modules.
# Seen on 2026-11-29:
#   custom_bucket NaN...+Inf 10
#   exponential_bucket 5.000e-01...1.000e+00 10
# Exits 1 if that changes. Needs go (1.26) and python3; about a minute.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$(cat "$folder/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$folder"' EXIT
export GOFLAGS="-mod=mod -modcacherw" GOMODCACHE=$folder/modules GOCACHE=$folder/cache CGO_ENABLED=0
mkdir "$folder/build"
cd "$folder/build"
go mod init finding 2>/dev/null
go get github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics@v1.151.0 2>/dev/null
go build -o "$folder/victoria-metrics" github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics
go list -m github.com/VictoriaMetrics/VictoriaMetrics
cd "$folder"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/victoria-metrics" -storageDataPath="$folder/data" -httpListenAddr="127.0.0.1:$port" >"$folder/log" 2>&1 &
echo $! >"$folder/pid"
found=$(python3 - "http://127.0.0.1:$port" <<'PY'
import json
import struct
import sys
import time
import urllib.parse
import urllib.request

url, now = sys.argv[1], int(time.time() * 1000)


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def whole(number, value):
    return varint(number << 3) + varint(value)


def double(number, value):
    return varint(number << 3 | 1) + struct.pack("<d", value)


def zigzag(value):
    return 2 * value if value >= 0 else -2 * value - 1


def histogram(schema, offset, custom=()):
    """Ten values in one bucket (prompb.Histogram of prompb/types.proto)."""
    edges = b"".join(struct.pack("<d", edge) for edge in custom)
    return field(
        4,
        whole(1, 10)
        + double(3, 7.5)
        + whole(4, zigzag(schema))
        + field(11, whole(1, zigzag(offset)) + whole(2, 1))
        + field(12, varint(zigzag(10)))
        + whole(15, now)
        + (field(16, edges) if custom else b""),
    )


def series(name, sample):
    return field(1, field(1, field(1, b"__name__") + field(2, name)) + sample)


message = series(b"custom", histogram(-53, 1, (0.5, 1.0, 2.5)))
message += series(b"exponential", histogram(0, 0))
snappy = varint(len(message)) + b"\xf4" + struct.pack("<H", len(message) - 1) + message
headers = {
    "content-encoding": "snappy",
    "content-type": "application/x-protobuf",
    "x-prometheus-remote-write-version": "0.1.0",
}
for _ in range(100):
    try:
        urllib.request.urlopen(url + "/health").read()
        break
    except OSError:
        time.sleep(0.1)
write = urllib.request.Request(url + "/api/v1/write", snappy, headers)
assert urllib.request.urlopen(write).status == 204
form = urllib.parse.urlencode({"query": '{__name__=~".*_bucket"}[5m]', "nocache": "1"}).encode()
rows = []
for _ in range(60):
    rows = json.load(urllib.request.urlopen(url + "/api/v1/query", form))["data"]["result"]
    if len(rows) > 1:
        break
    time.sleep(0.5)
for row in sorted(rows, key=lambda row: row["metric"]["__name__"]):
    print(row["metric"]["__name__"], row["metric"]["vmrange"], row["values"][-1][1])
PY
)
echo "$found"
[ "$found" = "custom_bucket NaN...+Inf 10
exponential_bucket 5.000e-01...1.000e+00 10" ]
