"""The pure computation behind a fairness report: files and a spec in, one JSON-able mapping out.

What belongs here: reading counts, metrics, intervals, gates and the shape of the report. What does not: Django, models,
jobs, permissions, HTML. `spec`, `catalogue`, `gate`, `report` and `errors` are light and may be imported anywhere;
`compute` pulls in DuckDB, pyarrow and pandas at import and AIF360 on first use, so only a worker should import it.
"""
