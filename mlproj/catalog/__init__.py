"""What a table is: its format, its columns and what they mean. A table goes in, findings come out."""
