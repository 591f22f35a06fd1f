"""What DVC holds: tracking the intake, finding and removing objects, recording that data were taken out."""
