"""From events to views: what a view looks like, how an event changes it, and how it gets into its store."""
