"""Series of numbers: loads of a transformer, moisture of soil, prices."""
