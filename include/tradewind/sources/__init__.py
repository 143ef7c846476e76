"""Files, databases and web services: what was delivered for one partition, as files on this machine.

One module a kind of source (`files`, `query`, `http`) fetches, called through `fetched`; the kinds are listed in
`spec.source_kinds`. `delivery` holds what came against what the YAML declares and reads it into Arrow; malformed rows
are put aside with file, line and reason.
May import `engine`, `lake` and below.
"""
