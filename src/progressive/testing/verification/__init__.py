"""Every reachable state of a plan, under everything that may happen to it."""
