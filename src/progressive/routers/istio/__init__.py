"""Istio: moves the weights of the http routes of one VirtualService, through the Kubernetes API.

A version's ``backend`` is a subset of one host (``Istio(host="reviews", ...)``; a DestinationRule
says what the subset is)::

    http:
    - route:
      - destination: {host: reviews, subset: v1}
        weight: 95
      - destination: {host: reviews, subset: v2}
        weight: 5

or, without ``host=``, a host of its own. The object is read with one request and changed with one
more, which the API server refuses if anything moved in between. What is not about this release
stays as it is, also other routes and their order. The API server answers in milliseconds; the
proxies follow within seconds, so give analyses a warm-up (``minutes(1)`` is ample).
"""

from progressive.adapters.http import Http
from progressive.adapters.kubernetes import Kubernetes

from .router import Istio

__all__ = ["Http", "Istio", "Kubernetes"]
