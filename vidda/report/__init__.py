"""The report: a folder with a web page that opens without a server, and tables for papers."""
