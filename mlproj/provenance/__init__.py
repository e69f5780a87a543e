"""Where a run comes from: snapshots of the work tree and the manifests of runs."""
