"""What `make bench` measures: cost, truth, scrapes, growth, starts and bad days, beside blackbox_exporter."""
