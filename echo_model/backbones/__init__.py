"""Frozen encoders behind named slots: each has a small offline implementation and a door for a pretrained one."""
