package peer;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * One customer's transactions, oldest first, packed as the store keeps them:
 * total_0, time_0, total_1, time_1, ..., total_n, eight bytes each.
 *
 * <p>total_i is the sum of the cents before transaction i, so a new one is only appended.
 */
final class History {
    static final int FEATURES = 10;

    private static final long HOUR_MS = 3_600_000;
    private static final long DAY_MS = 24 * HOUR_MS;
    private static final long KEPT_MS = 31 * DAY_MS;
    private static final int FEW = 32;
    private static final int ROW = 16;
    private static final byte[] EMPTY = new byte[8];
    private static final VarHandle LONGS =
            MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private History() {}

    /** Returns the history with one transaction more; writes its features. */
    static byte[] observe(byte[] stored, long timeMs, long cents, double[] features) {
        byte[] old = stored == null ? EMPTY : stored;
        int size = old.length / ROW;
        int place = size > 0 && time(old, size - 1) > timeMs ? firstAfter(old, timeMs, 0, size) : size;
        int cut = place == size ? tooOld(old, size, timeMs) : 0;
        byte[] history = inserted(old, place, cut, timeMs, cents);
        int end = place - cut + 1;
        int from30d = firstAfter(history, timeMs - 30 * DAY_MS, 0, end);
        int from7d = firstAfter(history, timeMs - 7 * DAY_MS, from30d, end);
        int from24h = firstAfter(history, timeMs - DAY_MS, from7d, end);
        int from1h = firstAfter(history, timeMs - HOUR_MS, from24h, end);
        long total = total(history, end);
        features[0] = cents / 100.0;
        features[1] = end - from1h;
        features[2] = end - from24h;
        features[3] = end - from7d;
        features[4] = end - from30d;
        features[5] = (total - total(history, from1h)) / 100.0;
        features[6] = (total - total(history, from24h)) / 100.0;
        features[7] = features[6] / features[2];
        features[8] = (total - total(history, from7d)) / 100.0 / features[3];
        features[9] = (total - total(history, from30d)) / 100.0 / features[4];
        return history;
    }

    private static byte[] inserted(byte[] old, int place, int cut, long timeMs, long cents) {
        byte[] history = Arrays.copyOfRange(old, cut * ROW, old.length + ROW);
        int at = place - cut;
        System.arraycopy(old, place * ROW + 8, history, (at + 1) * ROW + 8, old.length - place * ROW - 8);
        LONGS.set(history, at * ROW + 8, timeMs);
        long before = total(history, at);
        LONGS.set(history, (at + 1) * ROW, before + cents);
        for (int later = at + 2; later * ROW < history.length; later++) {
            LONGS.set(history, later * ROW, total(old, later + cut - 1) + cents);
        }
        return history;
    }

    private static int tooOld(byte[] history, int size, long timeMs) {
        boolean isWorthIt = size > FEW && time(history, FEW) <= timeMs - KEPT_MS;
        return isWorthIt ? firstAfter(history, timeMs - KEPT_MS, 0, size) : 0;
    }

    /** The first row in [low, high) that is later than a time; high if none is. */
    private static int firstAfter(byte[] history, long timeMs, int low, int high) {
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (time(history, middle) <= timeMs) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low;
    }

    private static long time(byte[] history, int row) {
        return (long) LONGS.get(history, row * ROW + 8);
    }

    private static long total(byte[] history, int row) {
        return (long) LONGS.get(history, row * ROW);
    }
}
