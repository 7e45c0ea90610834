"""HAProxy, through its runtime socket: by an entry of a map (`HAProxy`), or by the weights of
servers (`HAProxyWeights`).

Prefer the map. One command changes the whole split, exact to a millionth, and the entry carries the
marker, so that two drivers can't undo each other. Each version is a backend with as many servers as
it likes::

    global
      stats socket /run/haproxy/admin.sock mode 660 level admin

    frontend shop
      bind :8080
      http-request set-var(txn.split) str(shop),map_str(/etc/haproxy/split.map)
      http-request set-var(txn.cut) var(txn.split),field(2,:)
      http-request set-var(txn.draw) rand(1000000)
      use_backend %[var(txn.split),field(3,:)] if { var(txn.draw),sub(txn.cut) lt 0 }
      use_backend %[var(txn.split),field(1,:)]
      default_backend v1

    backend v1
      server v1-a 10.0.0.1:8080 check
    backend v2
      server v2-a 10.0.0.2:8080 check

with the line ``shop v1:0:v2`` in ``/etc/haproxy/split.map``: the service, then stable's backend,
the millionths of the candidate, and the candidate's backend.

By weights, each version is one server of one backend. That is two commands and no place for a
marker, and a share must be what two whole numbers from 1 to 256 can say, which is every multiple of
0.5 %::

    backend shop
      balance roundrobin
      server v1 10.0.0.1:8080 weight 1
      server v2 10.0.0.2:8080 weight 0

Both are kept in HAProxy's memory only: after a restart the file rules again. A `read` tells of it.
"""

from progressive.adapters.lines import LineSocket

from .by_map import HAProxy
from .by_weights import HAProxyWeights

__all__ = ["HAProxy", "HAProxyWeights", "LineSocket"]
