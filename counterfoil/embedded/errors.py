"""What keeps the shop from starting."""


class CannotStartError(Exception):
    """Something that the person at the keyboard can put right.

    The message says what is wrong and what to do; the command line shows it without a traceback.
    """
