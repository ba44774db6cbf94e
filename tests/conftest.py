pytest_plugins = ["pytester", "tests.profiles", "tests.fixtures.servers", "tests.fixtures.stack"]
