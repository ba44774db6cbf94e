"""The database's tables, revision by revision. A revision that was released is never changed; a change is a new one."""
