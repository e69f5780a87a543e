"""From an idea to a model on live traffic, held to what the scoping document promises."""

__version__ = "0.1.0"
