"""Who stops a bad version first, at what rate of false alarms: ours beside what others use, on the
same traffic.
"""
