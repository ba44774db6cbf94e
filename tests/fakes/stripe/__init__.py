"""A server of ours that answers as Stripe documents that it does. It is not Stripe's, and takes no money."""
