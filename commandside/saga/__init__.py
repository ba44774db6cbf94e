"""Checkout as a process: reserve, be paid, place; and what makes every one of them end, whatever fails."""
