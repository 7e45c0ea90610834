"""The same work by two versions of the library."""
