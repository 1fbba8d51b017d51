"""The product: one run from its words to its result. list + scan -> join -> decide -> guard -> transfer -> record.

`job` is what the faces hold; `run` is the run itself, in a thread of its own; `workplace` is LOCAL's side of
it, `execution` turns Actions into Outcomes, `tally` keeps count of them, `spool` sets them aside.
"""
