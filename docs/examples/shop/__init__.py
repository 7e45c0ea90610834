"""The stage of the quickstart: a small shop in several versions, an Envoy in front of it, its
users, and how it is deployed.
"""
