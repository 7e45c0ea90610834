"""One file per system: ``from progressive.metrics.envoy import ...``. Nothing is imported here."""
