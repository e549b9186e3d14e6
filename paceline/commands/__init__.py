"""The commands of `paceline`, one file each: `add_parser(subparsers)` describes it, `run(args) -> exit code` does it."""
