"""What is measured: each module fills some rows of the table."""
