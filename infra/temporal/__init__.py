"""The Temporal connection: one plugin (converter, codec, failures, sandbox), the client, and what stands on it."""
