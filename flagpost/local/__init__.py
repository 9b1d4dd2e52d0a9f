"""A real Apache Kafka and a real PostgreSQL on a machine without Docker, for one working copy."""
