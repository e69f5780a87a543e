"""The notebook of what people decided and why: Markdown files named by date and words."""
