"""What reads each operator of ATen: shapes, layers, convolutions and recurrent ones."""
