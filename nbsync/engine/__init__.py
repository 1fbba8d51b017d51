"""The product: one run from its words to its result. list + scan -> join -> decide -> guard -> transfer -> record.

`job` is what the faces hold; `run` is the run itself, in a thread of its own; `session` is LOCAL's side of
it, `execution` turns Actions into Outcomes, `counter` keeps count of them, `action_spool` sets them aside.
"""
