"""Public tutorials as notebooks: which, from where, and what Evercell makes of them."""
