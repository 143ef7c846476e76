"""One candidate from one window: rows, fit, evidence; and the same again for a reproduction.

Open `candidate` first, then `window` (which partitions), `model_frame` (rows as the model sees them) and `fitting`.
A logged, registered version with everything it came from goes out; `reproduction` makes it again and compares.
May import `registry`, `features` and below.
"""
