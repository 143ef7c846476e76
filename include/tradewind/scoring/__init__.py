"""The `score` stage: the population of a partition, predicted by the champion effective for it.

Open `batch_scoring` first. `predictor` chooses champion or fallback, `fallbacks` says what a fallback may replace,
`shadow` predicts beside the champion without serving.
May import `champion` and below.
"""
