"""Taking money and giving it back, through whichever provider is wired in."""
