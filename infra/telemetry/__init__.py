"""How a process is watched: metrics, traces, and the one place where a stage is observed (docs/observability.md)."""
