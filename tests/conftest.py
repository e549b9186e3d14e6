"""What every test may ask for, and what the whole suite watches: nothing left running, nothing swallowed."""

pytest_plugins = ["tests.support.postgres", "tests.support.rabbitmq"]
