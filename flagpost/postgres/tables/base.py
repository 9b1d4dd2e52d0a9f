"""The base of all models: names of constraints, and which PostgreSQL type a Python type becomes."""

from datetime import datetime

from sqlalchemy import BigInteger, Double, LargeBinary, MetaData, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """Registers the tables, and says which PostgreSQL type a Python type becomes."""

    metadata = MetaData(
        naming_convention={
            "pk": "%(table_name)s_pkey",
            "ck": "%(table_name)s_%(constraint_name)s",
            "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        }
    )
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy declares it without ClassVar)
        str: Text,
        int: BigInteger,
        float: Double,
        bytes: LargeBinary,
        datetime: TIMESTAMP(timezone=True),
    }
