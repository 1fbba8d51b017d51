"""Effects in motion: Actions become Outcomes here."""
