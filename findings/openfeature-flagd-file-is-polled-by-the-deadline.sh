#!/usr/bin/env bash
# OpenFeature's provider for flagd, in its FILE mode, has FLAGD_OFFLINE_POLL_MS for how often it
# looks at the file, 5 s by default. It looks every `deadline_ms` instead, which is meant for answers
# of a server, half a second by default; the variable is read and used nowhere.
#
# So who gives it an interval of a minute still reads the file twice a second, and who raises the
# deadline, to be patient with a server, makes a file's flags late: a percentage that is set back to
# 0 is served for that long.
#
# Package: openfeature-provider-flagd 0.6.1 from PyPI (openfeature-sdk 0.10.0). A file with one
# flag is replaced; the time until the provider gives the new value is measured, and put into
# classes that no load of the machine changes.
# Seen on 2026-12-01:
#   FLAGD_OFFLINE_POLL_MS=60000, deadline_ms 200: the new value within 30 s
#   FLAGD_OFFLINE_POLL_MS=100, deadline_ms 20000: still the old value after 5 s
# Exits 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openfeature-provider-flagd==0.6.1 openfeature-sdk==0.10.0
"$folder/venv/bin/python" - "$folder" <<'PY'
import json
import os
import pathlib
import sys
import time
from importlib.metadata import version

from openfeature import api
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType

folder = pathlib.Path(sys.argv[1])
print("openfeature-provider-flagd", version("openfeature-provider-flagd"))


def write(path, value):
    flag = {"state": "ENABLED", "variants": {value: value}, "defaultVariant": value}
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"flags": {"shop": flag}}))
    os.replace(new, path)


def changes_within(seconds, interval, deadline):
    os.environ["FLAGD_OFFLINE_POLL_MS"] = str(interval)
    path = folder / f"{deadline}.json"
    write(path, "old")
    os.utime(path, (time.time() - 60, time.time() - 60))  # so that the new one is newer
    provider = FlagdProvider(
        resolver_type=ResolverType.FILE, offline_flag_source_path=str(path), deadline_ms=deadline
    )
    api.set_provider_and_wait(provider)
    client = api.get_client()
    assert client.get_string_value("shop", "none") == "old"
    write(path, "new")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if client.get_string_value("shop", "none") == "new":
            return True
        time.sleep(0.02)
    return False


by_deadline = changes_within(30, interval=60_000, deadline=200)
by_interval = changes_within(5, interval=100, deadline=20_000)
print("interval 60 s, deadline 0.2 s: changed within 30 s:", by_deadline)
print("interval 0.1 s, deadline 20 s: changed within 5 s:", by_interval)
sys.stdout.flush()
os._exit(0 if by_deadline and not by_interval else 1)  # its thread sleeps for the deadline
PY
