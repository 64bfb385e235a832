"""Words on the command line: one call each. The only place that prints or exits."""
