"""What people do, as the phone in their pocket records it."""
