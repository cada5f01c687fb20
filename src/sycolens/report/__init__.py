"""What a run came to, for readers: tables, warnings, text and one page."""
