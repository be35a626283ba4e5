"""How data sets lie on disk: by which names each is recognised, and synthetic people who write each layout."""
