"""Senders of messages about rollouts, one file for each system. Nothing is imported here."""
