"""The same job done with other tools, for a comparison in one run."""
