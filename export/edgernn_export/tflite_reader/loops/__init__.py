"""WHILE loops over the steps whose body is a step of recurrent layers."""
