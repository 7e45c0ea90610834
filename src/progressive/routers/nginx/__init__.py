"""nginx: writes the file of one split, and has nginx load it.

The file belongs to the router. It gives the variable ``$shop``, the upstream of a request, and
``$shop_split``, by which is seen what nginx has loaded; the configuration includes it and uses
both::

    http {
      include /etc/nginx/split/shop.conf;
      upstream v1 { server 10.0.0.1:8080; }
      upstream v2 { server 10.0.0.2:8080; }
      server {
        listen 80;
        location / { proxy_pass http://$shop; }
      }
      server {
        listen 127.0.0.1:8081;
        location = /shop_split { default_type text/plain; return 200 $shop_split; }
      }
    }

`Nginx.initial` is the file to begin with. Every write replaces it as a whole, has ``nginx -t`` test
the configuration and nginx load it; it is served when a new connection is told so and the old
workers are gone. nginx goes on with what it has if it can't load the new one, and does not say so:
so only what it answers counts.
"""

from progressive.adapters.http import Http

from .by_file import Nginx

__all__ = ["Http", "Nginx"]
