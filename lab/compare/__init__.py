"""What the lab serves, beside what a real istiod sent for the same resources and the same proxy."""
