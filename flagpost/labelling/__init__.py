"""Labels as people give them: by command or in a file, sent to the labels topic."""
