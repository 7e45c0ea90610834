"""One file per system: ``from progressive.fleets.kubernetes import ...``. Nothing is imported
here.
"""
