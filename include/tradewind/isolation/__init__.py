"""Code that runs in a process of its own: model versions, heuristics, the project's own modules.

`model_client` starts `model_process` for one version, sends it Arrow and gets answers; `heuristic_process` runs a
rule of the project; `project_code` imports user modules and removes them afterwards. Two versions never share a
process.
May import `engine`, `lake` and below.
"""
