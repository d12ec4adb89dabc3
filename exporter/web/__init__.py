"""HTTP: metrics, health, and what people look at."""
