"""uvicorn as it is run here: how bytes become messages, and a stop that loses none."""
