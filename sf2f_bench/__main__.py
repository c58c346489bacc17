"""`python -m sf2f_bench`."""

from sf2f_bench.cli import main

main()
