"""Every recipe, trained with several seeds and scored; what its model costs on devices."""
