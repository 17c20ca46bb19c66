"""How a competition stands: read once, judged once, for `coordinator status`, Prometheus and the webhook."""
