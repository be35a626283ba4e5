"""Tests; and helpers that are commands of their own."""
