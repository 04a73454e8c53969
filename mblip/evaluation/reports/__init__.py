"""Reports of an evaluation: tables, charts and report.md."""
