"""One file per system: ``from progressive.fleets.kubernetes import ...``; none is imported here."""
