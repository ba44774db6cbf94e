"""What happened and what may happen: values, events, aggregates, errors. Pure.

Nothing here reads a clock, draws a random number or talks to anything: time, ids and prices are arguments.
"""
