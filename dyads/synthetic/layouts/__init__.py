"""The synthetic world's dialogues written as other data sets lie on disk, to try their adapters without them."""
