package peer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.time.Instant;
import java.time.LocalDate;
import org.apache.kafka.common.errors.SerializationException;
import org.apache.kafka.common.serialization.Deserializer;

/** Reads JSON as a stream of tokens: no tree, and no object for the fields that nobody needs. */
final class TransactionDeserializer implements Deserializer<Transaction> {
    private static final JsonFactory JSON = new JsonFactory();

    @Override
    public Transaction deserialize(String topic, byte[] value) {
        String transactionId = null;
        String userId = null;
        long timeMs = 0;
        long cents = 0;
        try (var json = JSON.createParser(value)) {
            json.nextToken();
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String field = json.currentName();
                json.nextToken();
                switch (field) {
                    case "transaction_id" -> transactionId = json.getText();
                    case "user_id" -> userId = json.getText();
                    case "timestamp" -> timeMs = parseTime(json.getText());
                    case "amount" -> cents = Math.round(100 * json.getDoubleValue());
                    default -> json.skipChildren();
                }
            }
        } catch (IOException failure) {
            throw new SerializationException(failure);
        }
        return new Transaction(transactionId, userId, timeMs, cents);
    }

    /** Reads the digits of 2025-01-31T23:59:59Z by their places; any other form with java.time. */
    private static long parseTime(String text) {
        if (text.length() != 20 || text.charAt(19) != 'Z') {
            return Instant.parse(text).toEpochMilli();
        }
        long day = LocalDate.of(number(text, 0, 4), number(text, 5, 7), number(text, 8, 10)).toEpochDay();
        int seconds = 3600 * number(text, 11, 13) + 60 * number(text, 14, 16) + number(text, 17, 19);
        return 1000 * (86_400 * day + seconds);
    }

    private static int number(String text, int from, int to) {
        return Integer.parseInt(text, from, to, 10);
    }
}
