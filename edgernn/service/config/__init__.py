"""The file that configures a service: its tables, how they are read, and a commented example."""
