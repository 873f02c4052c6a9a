"""How an answer is written: JSON, CSV, Arrow, Parquet, npy."""
