"""Metrics of reaction: what the avatar's motion has to do with the user's."""
