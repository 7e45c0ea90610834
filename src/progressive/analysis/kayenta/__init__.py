"""Kayenta's canary judge, for teams that come from Spinnaker: same configuration, same scores."""
