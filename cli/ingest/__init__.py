"""`parley ingest`: files and folders, in whatever form they lie there, handed in over the API."""
