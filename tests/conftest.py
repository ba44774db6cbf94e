import signal

pytest_plugins = ["pytester", "tests.profiles", "tests.distribution", "tests.fixtures.servers", "tests.fixtures.stack"]

# What a shell starts in the background ignores Ctrl-C, and so does all that it starts; tests send it to be heard.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
