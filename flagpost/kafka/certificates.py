"""Certificates: those that the settings name, and those that the brokers show."""

import socket
import ssl
import struct

from flagpost.errors import BadConfiguration
from flagpost.kafka.access import KafkaAccess

HANDSHAKE_SECONDS = 5

# The request ApiVersions in its first version, without a client id: a broker answers it before any
# authentication. Only after the handshake does it say that it does not like a client's certificate.
_GREETING = struct.pack(">ihhih", 10, 18, 0, 0, -1)


def tls_context(access: KafkaAccess) -> ssl.SSLContext:
    """Read the certificate files of an access.

    Raises:
        BadConfiguration: one cannot be read, or the key is encrypted or not the certificate's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if access.ca_file is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(access.ca_file)
        except OSError as error:  # ssl's own errors are among these
            raise _unreadable("FLAGPOST_KAFKA_CA_FILE", access.ca_file, error) from error
    if access.certificate_file is not None:
        pair = "FLAGPOST_KAFKA_CERTIFICATE_FILE, FLAGPOST_KAFKA_KEY_FILE"
        files = f"{access.certificate_file} and {access.key_file}"
        try:
            context.load_cert_chain(access.certificate_file, access.key_file, _refuse_passphrase)
        except OSError as error:
            raise _unreadable(pair, files, error) from error
    return context


def check_certificates(access: KafkaAccess) -> None:
    """Shake hands with the first broker that answers. Blocks for some milliseconds.

    The clients tell an expired certificate from a foreign one with the same words, or only try
    again. A broker that does not answer is left to them.

    Raises:
        BadConfiguration: its certificate is not to be trusted, or it does not speak TLS.
    """
    context = tls_context(access)
    for host, port in access.hosts:
        try:
            _greet(context, host, port)
        except ssl.SSLCertVerificationError as error:
            raise BadConfiguration(
                f"the certificate of Kafka at {host}:{port} is not to be trusted: "
                f"{error.verify_message}; check FLAGPOST_KAFKA_CA_FILE and FLAGPOST_KAFKA_BOOTSTRAP"
            ) from error
        except ssl.SSLEOFError:
            continue  # it went away in the middle of it
        except ssl.SSLError as error:
            raise BadConfiguration(
                f"no TLS with Kafka at {host}:{port}: {_words(error)}; check "
                "FLAGPOST_KAFKA_CERTIFICATE_FILE and FLAGPOST_KAFKA_SECURITY_PROTOCOL"
            ) from error
        except OSError:
            continue
        else:
            return


def _greet(context: ssl.SSLContext, host: str, port: int) -> None:
    with (
        socket.create_connection((host, port), HANDSHAKE_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host) as encrypted,
    ):
        encrypted.sendall(_GREETING)
        encrypted.recv(1)


def _refuse_passphrase() -> str:
    """Answer instead of the terminal, which the clients would ask."""
    raise BadConfiguration("FLAGPOST_KAFKA_KEY_FILE is encrypted; give a key without passphrase")


def _unreadable(variable: str, file: object, error: OSError) -> BadConfiguration:
    reason = error.strerror if not isinstance(error, ssl.SSLError) else _words(error)
    return BadConfiguration(f"{variable}: {file} cannot be read: {reason}")


def _words(error: ssl.SSLError) -> str:
    return (error.reason or "it is not a PEM file of this kind").lower().replace("_", " ")
