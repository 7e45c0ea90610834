"""Strict JSON for rollouts, events, notes and strategies."""
