package peer;

import java.util.concurrent.atomic.AtomicLong;

/** Counts messages, from the first to the last of the topic, and times them until the last commit. */
final class Progress {
    private final long events;
    private final Runnable atEnd;
    private final AtomicLong seen = new AtomicLong();
    private volatile long beganNanos;
    private volatile long committedNanos;

    Progress(long events, Runnable atEnd) {
        this.events = events;
        this.atEnd = atEnd;
    }

    void count() {
        long number = seen.incrementAndGet();
        if (number == 1) {
            beganNanos = System.nanoTime();
        }
        if (number == events) {
            atEnd.run();
        }
    }

    void committed() {
        committedNanos = System.nanoTime();
    }

    double seconds() {
        return (committedNanos - beganNanos) / 1e9;
    }
}
