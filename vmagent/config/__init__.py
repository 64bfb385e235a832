"""What this VM is told: files and environment in, one frozen ``Config`` out, origins of values kept."""
