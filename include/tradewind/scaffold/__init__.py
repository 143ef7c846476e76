"""What `tradewind new` writes, and rehearsals of a pipeline without Airflow.

Open `new_pipeline` first: templates and, with `--from`, a look at a person's own files go in, a project that runs
comes out. `rehearsal` runs all stages in this process.
May import `local_airflow` and below.
"""
