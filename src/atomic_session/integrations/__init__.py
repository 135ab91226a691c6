"""What other packages are given of ours; each module needs the package that it is named after."""
