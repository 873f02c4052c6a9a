"""The command `grokprobe`. It starts trainer and service as programs and imports neither."""
