pytest_plugins = ["pytester", "tests.profiles", "tests.distribution", "tests.fixtures.servers", "tests.fixtures.stack"]
