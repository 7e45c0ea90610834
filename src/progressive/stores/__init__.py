"""Where rollouts are kept: one file per place. Each is a `progressive.ports.Store`; import it by
name.
"""
