"""The protocols: what each asks a system for, and how it scores the answer."""
