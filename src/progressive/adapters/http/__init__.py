"""HTTP as a transport of adapters.

::

    class Example(Router[Request, Response, Weights]):
        server: Http = attrs.field(converter=to_http)

        def _read(self, release: Release) -> HttpFlow[Weights]:
            response = yield Request("GET", f"/services/{segment(release.service)}")
            return weights_of(response.json())

What comes back to the generator is an answer that it can use: a 2xx, or a status that the request
says it can ``accept``. Everything else is raised at the ``yield``, as `flow` says.
"""

from typing import TypeAlias, TypeVar

from progressive.adapters.decoding import get_path
from progressive.adapters.flow import Adapter, Flow, Malformed

from .client import HttpClient
from .messages import Request, Response, segment
from .settings import Http, Secret, to_http

__all__ = [
    "Http",
    "HttpAdapter",
    "HttpClient",
    "HttpFlow",
    "Malformed",
    "Request",
    "Response",
    "Secret",
    "get_path",
    "segment",
    "to_http",
]

T = TypeVar("T")

HttpFlow: TypeAlias = Flow[Request, Response, T]
"""One call of an adapter over HTTP."""

HttpAdapter: TypeAlias = Adapter[Request, Response]
"""What has an `HttpClient`."""
