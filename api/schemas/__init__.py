"""What answers look like, one module per resource. What comes in is checked by the domain's own models."""
