"""Scoring anyone's videos: any folder against any folder, or a folder against a study's test dialogues."""
