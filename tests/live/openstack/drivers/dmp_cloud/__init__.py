"""What stands in for hardware: networks without packets, volumes that are files."""
