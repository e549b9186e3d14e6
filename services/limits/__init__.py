"""How often something may be done, by whom, over all nodes together."""
