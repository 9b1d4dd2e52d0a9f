package peer;

import java.net.URI;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.sql.Timestamp;

/** The flagged transactions of one stream thread since its last commit, and its connection. */
final class FlaggedRows {
    static String databaseUrl;

    private static final ThreadLocal<FlaggedRows> OF_THREAD = ThreadLocal.withInitial(FlaggedRows::new);
    private static final String UPSERT = """
            INSERT INTO peer_flagged VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (transaction_id) DO UPDATE SET
                user_id = excluded.user_id, event_time = excluded.event_time,
                amount_cents = excluded.amount_cents, fraud_probability = excluded.fraud_probability
            """;

    private final Connection connection;
    private final PreparedStatement upsert;
    private int gathered;

    private FlaggedRows() {
        try {
            var url = URI.create(databaseUrl);
            String[] login = url.getUserInfo().split(":", 2);
            connection = DriverManager.getConnection(
                    "jdbc:postgresql://" + url.getAuthority().substring(url.getUserInfo().length() + 1)
                            + url.getPath(), login[0], login[1]);
            connection.setAutoCommit(false);
            upsert = connection.prepareStatement(UPSERT);
        } catch (SQLException failure) {
            throw new IllegalStateException(failure);
        }
    }

    static FlaggedRows ofThisThread() {
        return OF_THREAD.get();
    }

    void add(Transaction transaction, double probability) {
        try {
            upsert.setString(1, transaction.transactionId());
            upsert.setString(2, transaction.userId());
            upsert.setTimestamp(3, new Timestamp(transaction.timeMs()));
            upsert.setLong(4, transaction.cents());
            upsert.setDouble(5, probability);
            upsert.addBatch();
            gathered++;
        } catch (SQLException failure) {
            throw new IllegalStateException(failure);
        }
    }

    /** Commits them to PostgreSQL. Blocks. */
    void write() {
        if (gathered == 0) {
            return;
        }
        try {
            upsert.executeBatch();
            connection.commit();
            gathered = 0;
        } catch (SQLException failure) {
            throw new IllegalStateException(failure);
        }
    }
}
