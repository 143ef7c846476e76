"""Model versions in MLflow: logged, registered, opened, archived.

`model_registry` logs and finds versions; `manifest` names the files a version consists of; `version_files` is the
one place that opens them, and only when they are those that were judged. Nothing here trains or decides.
May import `isolation`, `features` and below.
"""
