"""The checkout in virtual time, under every fault we can name, from one seed; and a checker that stands outside it."""
