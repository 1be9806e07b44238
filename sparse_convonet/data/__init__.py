"""Training data: furniture, procedural rooms and buildings, virtual scans, public data sets, sampling, batching."""
