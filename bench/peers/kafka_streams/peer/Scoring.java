package peer;

import java.time.Duration;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

/** Adds each transaction to its customer's history and gathers the flagged ones. */
final class Scoring implements Processor<String, Transaction, Void, Void> {
    static final String HISTORIES = "histories";

    private final LogisticRegression regression;
    private final double threshold;
    private final Duration flushEvery;
    private final Progress progress;
    private final double[] features = new double[History.FEATURES];
    private KeyValueStore<String, byte[]> histories;

    Scoring(LogisticRegression regression, double threshold, Duration flushEvery, Progress progress) {
        this.regression = regression;
        this.threshold = threshold;
        this.flushEvery = flushEvery;
        this.progress = progress;
    }

    @Override
    public void init(ProcessorContext<Void, Void> context) {
        histories = context.getStateStore(HISTORIES);
        context.schedule(
                flushEvery, PunctuationType.WALL_CLOCK_TIME, now -> FlaggedRows.ofThisThread().write());
    }

    @Override
    public void process(Record<String, Transaction> record) {
        Transaction transaction = record.value();
        byte[] history = histories.get(record.key());
        histories.put(
                record.key(), History.observe(history, transaction.timeMs(), transaction.cents(), features));
        double probability = regression.probability(features);
        if (probability >= threshold) {
            FlaggedRows.ofThisThread().add(transaction, probability);
        }
        progress.count();
    }
}
