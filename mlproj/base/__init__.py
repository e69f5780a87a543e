"""What every room stands on: errors, files, processes, git, the clock. Imports the standard library only."""
