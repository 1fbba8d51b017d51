"""Small programs that the bench runs beside the tools, each in a process of its own."""
