"""Everything that can be known of a pipeline before it runs: YAML, SQL, suites, features, model code.

Open `pipeline` first: files in, problems with file, line, column and a suggestion out. User code runs in a process
of its own. Each module checks one kind of thing against the `validated_pipeline`.
May import `upkeep` and below; no Airflow.
"""
