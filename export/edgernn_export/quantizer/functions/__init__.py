"""What quantizing makes of functions of one value: tables, exponents, layers of their own."""
