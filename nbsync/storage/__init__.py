"""Effects at rest: the listing, the local tree, the recorded state, the account and endpoint."""
