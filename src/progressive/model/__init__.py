"""Values that every layer shares: units, releases, traffic, what a router shows, measurements, actions."""
