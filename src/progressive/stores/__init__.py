"""Where rollouts are kept: one file per place. Each is a `progressive.Store`; import it by name."""
