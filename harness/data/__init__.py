"""Where samples come from: VLMEvalKit TSV, Hugging Face parquet and hub, folders, mini."""
