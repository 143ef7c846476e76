"""What is missing, stale or about to change, and who served what: answers that start nothing.

Open `plan` first: a pipeline in, one item for each dataset and stage of each partition out, with the reason.
`runs_to_start` turns a plan into runs; the state of a pipeline for `tradewind show` and the pages is made here too.
May import `upkeep` and below; no Airflow.
"""
