"""The whole shop on one machine with nothing installed: embedded servers, and a supervisor over them and its parts."""
