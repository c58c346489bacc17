"""Voices for another program, and the faces that it generated from them."""
