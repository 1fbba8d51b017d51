"""Workers that share one LOCAL."""
