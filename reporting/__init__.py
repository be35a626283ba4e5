"""Showing: tables, figures, the report page, reference tables, and the scoring of anyone's videos."""
