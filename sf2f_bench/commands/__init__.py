"""The commands beside run, report, prepare and list; heavy imports wait until one is called."""
