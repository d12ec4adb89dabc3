"""The Grafana dashboard, as code: `python -m grafana.dashboard` writes its JSON."""
