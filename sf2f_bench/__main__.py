"""`python -m sf2f_bench`."""

from sf2f_bench.commands.main import main

main()
