"""A year of a real shop: invoice lines in the layout of the data set "Online Retail" (UCI) become carts and orders."""
