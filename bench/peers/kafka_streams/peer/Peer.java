package peer;

import java.nio.file.Path;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.state.Stores;

/** Scores everything in the topic, commits, and prints the seconds from first message to last commit. */
public final class Peer {
    private static final int MIB = 1 << 20;

    private Peer() {}

    public static void main(String[] arguments) throws Exception {
        var end = new CountDownLatch(1);
        var progress = new Progress(Long.parseLong(told("EVENTS")), end::countDown);
        var regression = LogisticRegression.read(Path.of(arguments[0]));
        double threshold = Double.parseDouble(told("THRESHOLD"));
        var flushEvery = Duration.ofMillis(Math.round(1_000 * Double.parseDouble(told("FLUSH_SECONDS"))));
        FlaggedRows.databaseUrl = told("DATABASE_URL");
        var topology = topology(told("TOPIC"), () -> new Scoring(regression, threshold, flushEvery, progress));
        try (var streams = new KafkaStreams(topology, configuration(), new RowsFirst(progress))) {
            streams.setUncaughtExceptionHandler(failure -> {
                failure.printStackTrace();
                Runtime.getRuntime().halt(1);
                return StreamThreadExceptionResponse.SHUTDOWN_APPLICATION;
            });
            streams.start();
            end.await();
            streams.close(Duration.ofMinutes(1));
        }
        System.out.println("seconds=" + progress.seconds());
    }

    private static Topology topology(
            String topic, ProcessorSupplier<String, Transaction, Void, Void> scoring) {
        var histories = Stores.keyValueStoreBuilder(
                        Stores.inMemoryKeyValueStore(Scoring.HISTORIES), Serdes.String(), Serdes.ByteArray())
                // The changelog gets a customer's newest history once a commit, not at each transaction.
                .withCachingEnabled();
        return new Topology()
                .addSource("transactions", Serdes.String().deserializer(), new TransactionDeserializer(), topic)
                .addProcessor("scoring", scoring, "transactions")
                .addStateStore(histories, "scoring");
    }

    private static Properties configuration() {
        var properties = new Properties();
        properties.put(StreamsConfig.APPLICATION_ID_CONFIG, told("GROUP"));
        properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, told("BOOTSTRAP"));
        properties.put(StreamsConfig.STATE_DIR_CONFIG, told("STATE_FOLDER"));
        properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1_000);
        // So long a thread waits for records, and flushes nothing meanwhile.
        properties.put(StreamsConfig.POLL_MS_CONFIG, 10);
        properties.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256 * MIB);
        properties.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
        properties.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 * MIB);
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        properties.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), MIB / 4);
        return properties;
    }

    private static String told(String name) {
        return System.getenv("PEER_" + name);
    }
}
