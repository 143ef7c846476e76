"""The verdict on a candidate: all gates, beside the champion and others on the same rows.

Open `judgement` first. `evaluation_processes` lets every model predict, `comparators` says who is compared,
`core.gates` decides, `serving_checks` measures how it would serve, `verdict_page` and `verdict_text` say it to
people; pictures are numbers of `training.picture_data`, drawn by `training.verdict_figures`.
May import `training` and below.
"""
