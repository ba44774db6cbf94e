"""What we are measured against, each as good as we could write it."""
