"""`SyncPanel`: a sync to look at and to click, as a widget in a notebook.

`widget` is the widget: its traits. `controller` is what the panel does, and knows no widget; `commands` checks and
obeys what the front end sends, `table` has the rows, `form` the words of a call, `messages` what the panel says,
`static_table` what a saved notebook shows. `front` is the front end: scripts that make one module, and a style sheet.
"""
