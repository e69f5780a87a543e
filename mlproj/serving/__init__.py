"""Models on live traffic: the gateway, its workers, and the log of what they answered."""
