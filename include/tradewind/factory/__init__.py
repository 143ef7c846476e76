"""From a pipeline's YAML to its DAGs.

Open `dags` first: it is what a three-line stub in `dags/` calls. `stage_tasks` lists the tasks, `assets` and
`timetable` wire partitions, `dag_docs` writes what the UI shows.
May import `operators` and below. Heavy SDKs are not loaded while DAGs are parsed.
"""
