"""Faults on purpose: injected failures, crashes, random rollouts through a world of faults."""
