"""The processes of a running shop, a module each with `main(settings)`."""
