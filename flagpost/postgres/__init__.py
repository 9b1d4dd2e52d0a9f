"""The PostgreSQL edge: tables, migrations, and a store that commits a batch at once."""
