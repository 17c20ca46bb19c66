"""What the report asks of the tables. It only reads, and no answer costs more with age."""
