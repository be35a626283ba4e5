"""The metrics, one file per metric or small family: cards, pure functions, and the rows they write."""
