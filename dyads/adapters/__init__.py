"""From recordings as they lie on disk to dialogues: one file a data set."""
