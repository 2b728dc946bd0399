"""What a recipe will need before anything is spent: parameters, memory, tokens, disk, hours, from configs alone."""
