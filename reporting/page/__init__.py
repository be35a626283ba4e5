"""The report: one folder with a page of tables, claims, figures and a video gallery, to open from a file path."""
