"""What is kept: one module per kind of record, with its wire form, and the table that holds them."""
