"""What an evaluation writes for people: tables, charts, the report."""
