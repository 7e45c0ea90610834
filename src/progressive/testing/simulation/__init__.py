"""Simulated services in virtual time, many runs of them, and what a strategy can and can't see."""
