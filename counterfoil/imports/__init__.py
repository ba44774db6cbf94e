"""What comes from files: catalogues, and the history of a shop. Through the same commands and handlers as HTTP."""
