"""The stores: each is a `progressive.ports.Store` in a module of its own; import it by name."""
