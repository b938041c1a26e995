"""What a network under training is in integers, whatever library trains it: layers and plan."""
