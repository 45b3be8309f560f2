"""The report: a folder with a web page that opens from the disk, and tables for papers."""
