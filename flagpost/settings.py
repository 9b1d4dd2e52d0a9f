"""All settings, read once from the environment by the entry points and passed on as arguments."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from flagpost.errors import BadConfiguration

HOME = Path(".flagpost")
"""Where the local stack keeps its data and addresses, relative to the working directory."""

PRETRAINED_MODEL = Path(__file__).parent.parent / "models" / "pretrained.joblib"

KafkaClient = Literal["kafka-python", "confluent"]
KafkaProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
KeepScores = Literal["flagged", "all"]


class Settings(BaseSettings):
    """The `FLAGPOST_*` variables; `.flagpost/env`, written by `flagpost up`, fills what is not set.

    What is or holds a secret is hidden in every representation of this object.
    """

    model_config = SettingsConfigDict(
        env_prefix="FLAGPOST_", env_file=HOME / "env", extra="ignore", frozen=True
    )

    kafka_bootstrap: str = ""
    database_url: SecretStr = SecretStr("")
    topic: str = "transactions"
    labels_topic: str = "labels"
    dead_letter_topic: str = ""
    topic_partitions: int = Field(default=4, ge=1, le=10_000)
    group: str = Field(default="flagpost", min_length=1)
    member_id: str = Field(default="", max_length=249, pattern=r"^[A-Za-z0-9._-]*$")
    session_seconds: int = Field(default=10, ge=4, le=300)
    model: Path = PRETRAINED_MODEL
    kafka_client: KafkaClient = "kafka-python"
    mapping: Path | None = None
    batch_messages: int = Field(default=20_000, ge=1, le=1_000_000)
    max_dead_share: float = Field(default=0.05, ge=0, le=1)
    max_future_days: float = Field(default=1.0, ge=0, le=36_500)
    keep_scores: KeepScores = "flagged"
    model_key: SecretStr = SecretStr("")
    kafka_security_protocol: KafkaProtocol = "PLAINTEXT"
    kafka_sasl_mechanism: SaslMechanism | None = None
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_password_file: Path | None = None
    kafka_ca_file: Path | None = None
    kafka_certificate_file: Path | None = None
    kafka_key_file: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_the_dead_letter_topic(cls, values: dict[str, object]) -> dict[str, object]:
        topic = values.get("topic") or cls.model_fields["topic"].default
        return {**values, "dead_letter_topic": values.get("dead_letter_topic") or f"{topic}.dead"}

    @model_validator(mode="after")
    def _need_distinct_topics(self) -> Self:
        if len({self.topic, self.labels_topic, self.dead_letter_topic}) < 3:
            msg = (
                "FLAGPOST_TOPIC, FLAGPOST_LABELS_TOPIC and FLAGPOST_DEAD_LETTER_TOPIC must name "
                "three different topics"
            )
            raise ValueError(msg)
        return self


def load_settings(**overrides: Any) -> Settings:  # noqa: ANN401  (each setting has its own type)
    """Read the settings; those given here by name are not looked up.

    Raises:
        BadConfiguration: a variable has an impossible value; the message names each.
    """
    try:
        return Settings(**overrides)
    except OSError as error:
        raise BadConfiguration(f"{error.filename} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"FLAGPOST_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" if e["loc"] else e["msg"]
            for e in error.errors(include_url=False, include_input=False)
        )
        raise BadConfiguration(problems) from None
