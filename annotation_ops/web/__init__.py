"""The service: webhook inbox and REST API. A door like the CLI, with no rules of its own."""
