"""Notifications: which notes of a rollout are told to whom, at least once, out of a durable outbox.

What is to be told is not stored a second time: the notes of a rollout are stored in one transaction
with it, so the outbox has only how far each destination has been told (`Delivery`). So nothing is
lost by a crash at any moment, and what was perhaps told already is marked when it is told again.
Nothing is imported here; `progressive.observers.notify` is what programs use.
"""
