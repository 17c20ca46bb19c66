"""The operator's levers: an order is checked, recorded with its reason, and carried out."""
