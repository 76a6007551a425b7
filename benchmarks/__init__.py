"""What Foundry costs, beside the raw thing doing the same in the same run. `make bench`."""
