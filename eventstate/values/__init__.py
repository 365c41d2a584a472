"""Values: how they are encoded, compared and edited; no I/O and no clock."""
