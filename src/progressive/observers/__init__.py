"""Observers for `progressive.Ports.observers`, each in a file of its own: ``from
progressive.observers.progress import Progress``. Nothing is imported here.
"""
