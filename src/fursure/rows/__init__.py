"""Features of many photos: laid out as they come, handed out as they are asked for."""
