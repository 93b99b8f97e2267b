"""What the chapter `content_table` stands on: one subject a file, imported one way only."""
