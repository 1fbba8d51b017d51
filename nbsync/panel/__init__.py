"""`SyncPanel`: a sync to look at and to click, as a widget in a notebook.

`widget` is the widget: traits, commands, windows of rows. `session` is the state machine of plan and apply, `table`
the rows behind it, `form` the words of a call, `lookups` what is asked of buckets and disks in helper threads, `pump`
the ticker on the kernel's loop, `saved` what a saved notebook shows. `front` is the front end: scripts that
make one module, and a style sheet.
"""
