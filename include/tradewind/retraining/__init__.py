"""The `train` stage step by step: decide, train, judge, approve, refit, promote.

Open `train_stage` first. `training_decision` applies the policy and journals yes or no with the numbers;
`window_incident` says what a training lacks. Each step is a function without Airflow that says what came of it.
May import `monitoring` and below.
"""
