"""One solver per field of the starter library, and one for any other field of each type."""
