"""Pages for people: rendered here, read over the same services as the API. No page needs a script to be read."""
