"""One file per system: ``from progressive.routers.envoy import ...``. Nothing is imported here."""
