"""Pictures of results and snapshots, as text and HTML."""
