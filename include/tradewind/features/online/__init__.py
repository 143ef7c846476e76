"""Online stores: what is known of each, and fast writers in place of Feast's.

`online_stores` is the list, one module a store. Open `view_write` next: one feature view and one window in, rows in the
online store out. `write_layout` says which views are written here and why the others are left to Feast; `encoding`
makes Feast's own bytes.
May import what `features` may.
"""
