"""The `etl` stage: stage, audit and publish each dataset of one partition.

Open `dataset_build` first: `(spec, dataset, partition, runtime)` in, a published partition out. Inputs are gathered
from `sources` and the lake, rows come from SQL, the audit decides; what fails stays in quarantine until a person
releases it.
May import `alerting`, `checks`, `sources` and below.
"""
