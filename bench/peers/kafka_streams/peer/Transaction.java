package peer;

/** What the job needs of a message; the amount in cents, so that sums are exact. */
record Transaction(String transactionId, String userId, long timeMs, long cents) {}
