"""Recorded rollouts, judged again under another strategy."""
