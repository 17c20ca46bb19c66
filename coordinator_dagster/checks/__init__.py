"""What an operator looks at every day: what is missing, late, unresolved or against the rules."""
