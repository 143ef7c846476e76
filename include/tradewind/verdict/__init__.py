"""The verdict on a candidate: all gates, beside the champion and others on the same rows.

Open `judgement` first. `evaluation_processes` lets every model predict, `comparators` says who is compared,
`core.gates` decides, `verdict_page` and `verdict_text` say it to people.
May import `training` and below.
"""
