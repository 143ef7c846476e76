"""Who serves, from when, put there by which person: promotion, refit, rollback, alias and model card.

Open `promotion` first: a verdict goes in, an entry in the ledger comes out; `alias_and_card` brings MLflow's alias
and the card to what the ledger says. The ledger decides; the alias is a copy for people.
May import `verdict` and below.
"""
