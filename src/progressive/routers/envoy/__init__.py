"""Envoy, by weights of its runtime (`Envoy`), or by the file of a route configuration
(`EnvoyRoutes`).

`Envoy` moves the runtime weights of a ``weighted_clusters`` route through the admin interface. The
route names a runtime prefix and the clusters; a version's ``backend`` is its cluster's name::

    route:
      weighted_clusters:
        runtime_key_prefix: routing.traffic_split
        clusters: [{name: v1, weight: 100}, {name: v2, weight: 0}]

and the runtime has an ``admin_layer`` as its last layer. All weights and the marker go into one
POST, which Envoy takes as one change; the next request obeys it. Envoy answers 200 to any nonsense,
so everything is read back. Nothing is kept on disk: after a restart the weights of the layers
below, or of the route itself, rule again, and `Envoy.read` says so.

`EnvoyRoutes` writes the file of a route configuration, which a listener names with where it comes
from::

    rds:
      route_config_name: shop
      config_source:
        resource_api_version: V3
        path_config_source:
          path: /etc/envoy/routes/shop.json
          watched_directory: {path: /etc/envoy/routes}

and the bootstrap has a ``node`` with an ``id`` and a ``cluster``, which Envoy asks for where it
discovers anything. `EnvoyRoutes.initial` is the file to begin with. It has header and cookie routes
and a mirror, which the runtime can't have, and is still there after a restart. What Envoy has
loaded is asked of its admin interface, where the metadata of the configuration carry the marker.
"""

from typing import TYPE_CHECKING

from progressive.lazy import lazily

if TYPE_CHECKING:
    from .by_file import EnvoyRoutes
    from .by_runtime import AfterRestart, Envoy, Http
else:
    __getattr__, __dir__ = lazily(
        __name__, {".by_file": "EnvoyRoutes", ".by_runtime": "AfterRestart Envoy Http"}
    )

__all__ = ["AfterRestart", "Envoy", "EnvoyRoutes", "Http"]
