"""Schema `analyst`: what people may see who need no names."""

from sqlalchemy import CheckConstraint, true
from sqlalchemy.orm import Mapped, mapped_column

from flagpost.postgres.tables.base import Base


class MaskingKey(Base):
    """The secret that makes masked ids impossible to guess."""

    __tablename__ = "masking_key"
    __table_args__ = (
        CheckConstraint("is_only", name="one_row"),
        {
            "schema": "analyst",
            "comment": "Secret behind the masked ids of this schema, made at random. Whoever reads "
            "it can find out which customer an id stands for.",
        },
    )

    is_only: Mapped[bool] = mapped_column(
        primary_key=True, server_default=true(), comment="Always true: there is one key"
    )
    key: Mapped[bytes] = mapped_column(comment="32 random bytes")
