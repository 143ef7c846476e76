"""The command `tradewind`, one module a command.

Open `main` first: a table of commands, each imported when it is called. A command reads its options, calls one
function of another room and prints the answer, as text or with `--json`.
May import everything.
"""
